"""What calling an app returns."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnflow.ids import TaskId


class AppFuture(Future[Any]):
    """Stands for the result of a task; passing it to another app makes an edge of the graph.

    A `concurrent.futures.Future` in every way but one: `cancel` answers False, since tasks cannot be cancelled yet.

    Attributes:
        tid: id of the task.
        name: of the app.
    """

    def __init__(self, tid: TaskId, name: str) -> None:
        super().__init__()
        self.tid = tid
        self.name = name

    def cancel(self) -> bool:
        """False: this version cannot cancel a task; it goes on."""
        return False

    def __repr__(self) -> str:
        state = "pending" if not self.done() else "failed" if self.exception() else "done"
        return f"<AppFuture of task {self.tid} ({self.name}), {state}>"
