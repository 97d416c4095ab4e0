"""Seam between the dataflow kernel and the things that move a `File` to a task and back.

Calls for one task, all in the thread that submits it::

    can_stage_in(file)  ──> stage_in ──> future that the task waits for, or None
                        └─> replace_task ──> function that moves the file, then calls the task's
    can_stage_out(file) ──> place_of_output ──> path here, to which the task's connection brings the file, or None
                        └─> stage_out ──> future that the outputs wait for, or None
                        └─> replace_task_stage_out ──> function that calls the task's, then moves the file;
                                                       replace_task_stream, for stdout and stderr

`cnflow.testing.contracts.staging.StagingContract` tests an implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.interfaces.executor import Executor
    from cnflow.model.file import File


class StagingRun(Protocol):
    """The part of a run that a staging may look at."""

    @property
    def run_dir(self) -> Path:
        """Folder of the run's logs and records."""

    @property
    def executors(self) -> Mapping[str, Executor]:
        """The live executors by label."""

    @property
    def staging_retries(self) -> int:
        """Further tries of a file that could not be moved, for a staging that works in the driver."""


class StagingService(Protocol):
    """Live half of a staging that moves files in the driver: threads, connections, transfers."""

    def close(self) -> None:
        """End what goes on, fail the futures that are not done, and leave no thread; called once, as the run ends."""


S = TypeVar("S", bound=StagingService)


class DataManager(Protocol):
    """Services of a run for its stagings."""

    @property
    def dfk(self) -> StagingRun:
        """The run itself."""

    def place(self, executor: str, name: str) -> str:
        """Path for a copy on the nodes of *executor*: no other file has it, and its last part is *name*.

        Neither the file nor its folder is made. Relative to the folder in which a worker starts if the driver knows
        no folder of the nodes.
        """

    def submit(
        self,
        executor: str,
        function: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the function's own
        after: Future[Any] | None = None,
    ) -> Future[Any]:
        """Run ``function(*args)`` as a task on *executor*, once *after* is done; files among *args* are not staged.

        If *after* fails, the task fails with a DependencyError and is not run.
        """

    def service(self, key: Hashable, make: Callable[[], S]) -> S:
        """Return the service of the run that *key* names; *make*, which must not wait, is called the first time.

        Stagings that are equal should have one: a staging itself is a value, copied with the configuration.
        """


class Staging:
    """Moves files of some schemes. A value, made by the user and listed in an executor's ``storage_access``.

    It is copied with the configuration; its attributes are its settings, by which two are compared.

    For each file of a task, the first in the list that can move it is asked to; the order is the user's. Every *file*
    is an object that belongs to that task alone: a staging that makes a copy sets its ``local_path``. Two files of one
    task may have the same name in different folders; they get different paths.

    A staging works in one of two ways, or in both: by a future that the task waits for (`stage_in`), or that the
    task's own outputs wait for (`stage_out`); or by a function around the task's, which runs with it
    (`replace_task`, `replace_task_stage_out`). It inherits the methods of a way that it does not use. Called in the
    thread that submits the task: no method waits.

    Everywhere, *executor* is the label of the executor that the task goes to.
    """

    schemes: tuple[str, ...] = ()
    """Schemes for messages; `can_stage_in` and `can_stage_out` decide."""

    needs_visible_files: bool = False
    """True if driver and tasks must see its files under the same paths; a call with others is refused."""

    def can_stage_in(self, file: File) -> bool:  # noqa: ARG002 - part of the seam
        """Return whether it can bring *file* to a task. Looks at the URL only."""
        return False

    def can_stage_out(self, file: File) -> bool:  # noqa: ARG002 - part of the seam
        """Return whether it can take away the *file* that a task wrote. Looks at the URL only."""
        return False

    def stage_in(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        parent_fut: Future[Any] | None,  # noqa: ARG002 - the same
    ) -> Future[Any] | None:
        """Begin to bring *file*, after *parent_fut* if that is given.

        Returns:
            A future whose result replaces the file among the arguments; None: the task need not wait.
        """
        return None

    def stage_out(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        app_fu: Future[Any],  # noqa: ARG002 - the same
    ) -> Future[Any] | None:
        """Take *file* away once *app_fu*, the task's own future, is done; called before the task is launched.

        Returns:
            A future that is done when the file is at its URL; None: it is there when the task is done. If *app_fu*
            fails, the future fails, and nothing is brought to the URL.
        """
        return None

    def place_of_output(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
    ) -> str | None:
        """Have the output *file* travel over the connection of the tasks, as a part of its task; asked before the rest.

        For executors with an attribute ``items``. The task gets a path of its own node in `File.filepath`.

        Returns:
            The path on the driver's machine at which the file is when the task is done, where `stage_out` may take it
            from; empty: it stays on its node; None: it does not travel so.
        """
        return None

    def replace_task(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        func: Callable[..., Any],  # noqa: ARG002 - the same
    ) -> Callable[..., Any] | None:
        """Return a function that brings *file* and then calls *func*; None: *func* as it is."""
        return None

    def replace_task_stage_out(
        self,
        dm: DataManager,  # noqa: ARG002 - part of the seam
        executor: str,  # noqa: ARG002 - the same
        file: File,  # noqa: ARG002 - the same
        func: Callable[..., Any],  # noqa: ARG002 - the same
    ) -> Callable[..., Any] | None:
        """Return a function that calls *func* and then takes *file* away; None: *func* as it is.

        For a bash app, *func* runs the command and returns 0. If *func* raises, nothing is brought to the URL.
        """
        return None

    def replace_task_stream(
        self, dm: DataManager, executor: str, file: File, func: Callable[..., Any]
    ) -> Callable[..., Any] | None:
        """Same as `replace_task_stage_out`, for ``stdout`` or ``stderr``: *file* need not be among the arguments."""
        return self.replace_task_stage_out(dm, executor, file, func)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return mask_url(f"{type(self).__name__}({settings})")
