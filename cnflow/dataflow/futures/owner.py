"""What a future asks of the task graph that made it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.futures.callbacks import CallbackThreads
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.model.task import AppFunction


class FutureOwner(Protocol):
    """Answers for the task of a future: the task graph that made both."""

    @property
    def callbacks(self) -> CallbackThreads:
        """Threads for the user's callbacks."""

    def cancel(self, future: AppFuture) -> bool:
        """Cancel the task; see `AppFuture.cancel`."""

    def state_name(self, future: AppFuture) -> str:
        """Name of the task's state; see `AppFuture.task_status`."""

    def record_of(self, future: AppFuture, app: AppFunction) -> TaskRecord:
        """Record of the task; see `AppFuture.task_record`."""
