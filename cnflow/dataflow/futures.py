"""What calling an app returns."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cnflow.dataflow.data_futures import DataFuture
    from cnflow.ids import TaskId


class Canceller(Protocol):
    """What a future asks of the kernel that made it."""

    def cancel(self, future: AppFuture) -> bool:
        """As `AppFuture.cancel`."""

    def state_name(self, future: AppFuture) -> str:
        """As `AppFuture.task_status`."""


class AppFuture(Future[Any]):
    """Stands for the result of a task; passing it to another app makes an edge of the graph.

    A `concurrent.futures.Future` in every way: usable with `concurrent.futures.wait` and `as_completed`, and with
    `asyncio.wrap_future`.

    Attributes:
        tid: id of the task.
        name: of the app.
        outputs: stands for each file of ``outputs=``, in that order.
        stdout, stderr: where the task's streams go, as given, or the name that was made for them; None is nowhere.
    """

    def __init__(self, tid: TaskId, name: str, kernel: Canceller) -> None:
        super().__init__()
        self.tid = tid
        self.name = name
        self._kernel = kernel
        self.outputs: list[DataFuture] = []
        self.stdout: Any = None
        self.stderr: Any = None

    def cancel(self) -> bool:
        """Want the task no more. A task that waits never runs; one that runs is stopped.

        Returns:
            False when it is done already. True otherwise; a running task takes a moment to stop, and if it ends by
            itself in that moment, its result stands: `cancelled` tells.
        """
        return self._kernel.cancel(self)

    def task_status(self) -> str:
        """Where the task is: waiting, launched, done, failed, dependency_failed or cancelled."""
        return self._kernel.state_name(self)

    def settle_cancelled(self) -> None:
        """Make it a cancelled future; for the kernel."""
        super().cancel()
        self.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        return f"<AppFuture of task {self.tid} ({self.name}), {self.task_status()}>"
