"""A worker as the state of its manager knows it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import FunctionId
    from cnflow.wire.messages import TaskParcel


class Worker:
    """One of a manager's workers."""

    __slots__ = ("cancelled", "functions", "given", "is_restarted", "killed_for", "ready", "since", "tasks")

    def __init__(self) -> None:
        self.ready = False
        self.is_restarted = False  # by us, while it did nothing
        self.tasks: deque[TaskParcel] = deque()  # written to its pipe, first one runs
        self.functions: set[FunctionId] = set()
        self.given = 0
        self.since = Seconds(0.0)  # its first task runs
        self.cancelled: set[int] = set()  # ids of those among its tasks that are to be stopped
        self.killed_for: Optional[int] = None  # id of the task that did not stop
