"""The seam between the dataflow kernel and whatever runs tasks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

from cnflow.model.task import Outcome, TaskToRun

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cnflow.ids import TaskId
    from cnflow.interfaces.staging import Staging
    from cnflow.model.status import ExecutorStatus

Report = Callable[[Sequence[Outcome]], None]
"""Called with the outcomes of many tasks at once, from any thread; returns soon and never raises."""


class Executor(Protocol):
    """Runs tasks. Live: made by `cnflow.assemble` from its settings, used once."""

    label: str
    image: str
    """The image that its tasks run in; empty on the bare node."""

    digest: Future[str]
    """What `image` stands for, done once that is known: empty on the bare node, and where it cannot be known, as when
    the image cannot be had; never an error, and done at the latest by `shutdown`."""

    storage_access: list[Staging] | None
    """What brings its tasks their files, the first that can; None is `cnflow.staging.default_staging`."""

    working_dir: str
    """Folder on its nodes under which staged files go; empty lets `cnflow.dataflow.file_staging` choose."""

    def start(self, report: Report) -> None:
        """Begin, without waiting for resources: tasks may be submitted at once.

        What goes wrong later (no engine, no such image) is reported as the outcome of each submitted task.
        """

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Take *tasks* over; each is reported exactly once. Safe from any thread, never blocks on the network."""

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Ask that *tasks* be stopped, wherever they are. Safe from any thread, never blocks on the network.

        Each is still reported exactly once, perhaps before this returns: with `concurrent.futures.CancelledError` as
        its error if it was stopped, or as it ended if it was faster. An id that is not here is passed over: it was
        reported before, or `submit` has not returned for it yet.
        """

    def status(self) -> ExecutorStatus:
        """How it is doing now. Safe from any thread."""

    def shutdown(self) -> None:
        """End every thread, process, container and socket it made; what is unfinished is reported as an error.

        Can be called twice, and on an executor that did not start.
        """
