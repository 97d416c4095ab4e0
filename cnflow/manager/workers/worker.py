"""State of one worker, as `cnflow.manager.state` keeps it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import FunctionId
    from cnflow.wire.messages import TaskParcel


class Worker:
    """One process of a worker; its successor has a new `Worker`."""

    __slots__ = (
        "cancelled",
        "functions",
        "is_ready",
        "is_restarted",
        "overdue_task",
        "task_started_at",
        "tasks",
        "tasks_sent",
    )

    def __init__(self) -> None:
        self.is_ready = False
        self.is_restarted = False  # it was idle and was killed by the manager
        self.tasks: deque[TaskParcel] = deque()  # written to its pipe and not ended; the first one runs
        self.functions: set[FunctionId] = set()  # written to its pipe
        self.tasks_sent = 0
        self.task_started_at = Seconds(0.0)
        self.cancelled: set[int] = set()  # ids of its tasks that it was ordered to stop
        self.overdue_task: Optional[int] = None  # id of the task that did not stop, and for which it was killed
