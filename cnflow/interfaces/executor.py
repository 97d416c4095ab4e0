"""Seam between the dataflow kernel and the things that run tasks.

The life of an executor, and of the tasks in it::

    backend(settings, run) ──> made ──start(report)──> running ──shutdown()──> ended
                                 └────────────────shutdown()────────────────────^

    submit([task]) ──> waiting ──> running ──> report([outcome])     exactly once for each task, whichever comes first:
                          └───────────┴── cancel ──> report([CancelledError])
                          └───────────┴── shutdown ──> report([ExecutorClosedError])

`cnflow.testing.contracts.executor.ExecutorContract` tests an implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.model.task import Outcome, TaskToRun

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.budget.spending import Spending
    from cnflow.ids import RunId, TaskId
    from cnflow.interfaces.sink import Emit
    from cnflow.interfaces.staging import Staging
    from cnflow.ledger import RunLedger
    from cnflow.model.image import Image
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.model.status import ExecutorStatus

Report = Callable[[Sequence[Outcome]], None]
"""Called with the outcomes of many tasks at once, from any thread; returns soon and never raises."""


class ImageResolver(Protocol):
    """Makes a reference to an image the same image for all executors of a run."""

    def resolve(self, image: Image, prepare: Callable[[Image], str]) -> tuple[Image, ImageIdentity]:
        """Have *image* prepared by *prepare*, a provider's; return what it was prepared with, and what it is.

        Raises:
            ImageLockError: the run is locked, and this is not the locked image.
            BlockError: as *prepare* raises.
        """


class RunContext(NamedTuple):
    """The run that an executor is made for, with the options of `Config` that concern blocks."""

    run: RunId
    """Label of everything that the run makes outside the driver."""

    run_dir: Path
    """Folder of the run; an executor keeps its logs in ``LABEL/`` below it."""

    strategy: str | Callable[[Any], Any] = "simple"
    """Value of `Config.strategy`."""

    max_idletime: float = 120.0
    """Seconds; value of `Config.max_idletime`."""

    ledger: RunLedger | None = None
    """Record of what executors start outside the driver, and of what another driver has started; None keeps none."""

    adoptable_for: float = 0.0
    """Seconds; value of `Config.adoptable_for`."""

    log_size: int = 0
    """Bytes; value of `Config.log_size`, with 0 for None."""

    json_logs: bool = False
    """Logs of blocks and interchanges are JSON lines with ids."""

    local_packages: tuple[str, ...] = ()
    """Value of `Config.local_packages`."""

    folder: str = ""
    """The driver's folder when the run was loaded, in which workers start; empty if it was removed."""

    emit: Emit | None = None
    """Takes the events of the executor for the run's sinks; None where there is no sink."""

    sample_interval: float | None = None
    """Seconds between samples of what tasks and nodes use; 0 measures each task at its end alone, None nothing."""

    images: ImageResolver | None = None
    """Resolves references to images; None takes each as it is written."""

    spending: Spending | None = None
    """Spending of the run on blocks, and its budget; None counts nothing."""


class Executor(Protocol):
    """Runs tasks. Live: made by ``settings.backend(settings, run)``, used once."""

    label: str
    image: Image
    """Image that the tasks run in; empty on the bare node."""

    digest: Future[str]
    """Digest of `image`, done once it is known and at the latest by `shutdown`; never an error.

    Empty on the bare node, and where the digest cannot be known, as when the image cannot be pulled.
    """

    storage_access: list[Staging] | None
    """Stagings for the files of the tasks: the first that can move a file does. None is `default_staging`."""

    working_dir: str
    """Folder on the nodes under which staged files go; empty lets `cnflow.dataflow.file_staging` choose."""

    def start(self, report: Report) -> None:
        """Begin, without waiting for resources: tasks may be submitted at once.

        A later failure (no engine, no such image) is reported as the outcome of each submitted task.
        """

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Take *tasks* over; each is reported exactly once. Safe from any thread, never blocks on the network.

        Arguments are copies, which the user does not change; the executor does not change them either. An attribute
        ``argument_use`` (`cnflow.model.task.ArgumentUse`) may state that it pickles them at once, or shares them. A
        method ``version_of(app)`` is called at the call of the app, which may be long before: what it returns is in
        the task, at each attempt. It may have a method ``function_apart()``, which returns a copy of the function as
        it was pickled, or None; the cache key is made of that.

        An attribute ``visible_files`` (`cnflow.model.visible_files.VisibleFiles`) may state that tasks do not see all
        files of the driver: then a call is refused whose files they would not see.
        """

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Stop *tasks*, wherever they are. Safe from any thread, never blocks on the network.

        Each task is still reported exactly once, perhaps before this returns: with
        `concurrent.futures.CancelledError` as its error if it was stopped, or as it ended if it was faster. An unknown
        id is ignored: its task was reported before, or `submit` has not returned for it yet.
        """

    def status(self) -> ExecutorStatus:
        """Blocks, managers and workers at this moment. Safe from any thread."""

    def shutdown(self) -> None:
        """End every thread, process, container and socket of the executor; report unfinished tasks as errors.

        Can be called twice, and on an executor that was not started.
        """
