"""State of one worker, as `cnflow.manager.state` keeps it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

from cnflow.units import Seconds
from cnflow.wire.sent_functions import OF_WORKER, SentFunctions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.manager.batching.running import RunningBatch
    from cnflow.wire.batch_records import LoadedRecord
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import Task, TaskParcel


class Worker:
    """One process of a worker; its successor has a new `Worker`."""

    __slots__ = (
        "batch",
        "cancelled",
        "functions",
        "is_load_late",
        "is_ready",
        "is_restarted",
        "load_due",
        "loaded",
        "loading",
        "overdue_task",
        "task_started_at",
        "tasks",
        "tasks_sent",
    )

    def __init__(self) -> None:
        self.is_ready = False
        self.is_restarted = False  # it was idle and was killed by the manager
        self.tasks: deque[TaskParcel] = deque()  # written to its pipe and not ended; the first one runs
        self.functions = SentFunctions(OF_WORKER)  # written to its pipe
        self.tasks_sent = 0
        self.task_started_at = Seconds(0.0)
        self.cancelled: set[tuple[TaskId, int]] = set()  # ids and attempts of its tasks that it was ordered to stop
        self.overdue_task: Optional[Task] = None  # task that did not stop, and for which it was killed
        self.batch: Optional[RunningBatch] = None  # of which all of its tasks are
        self.loading: list[FunctionId] = []  # models that it was ordered to load; it gets no task before
        self.load_due: Optional[tuple[FunctionId, Seconds]] = None  # the one that it loads now, and until when
        self.is_load_late = False  # it did not load that one in time, and was killed
        self.loaded: dict[FunctionId, LoadedRecord] = {}  # its replies

    def running(self, functions: Mapping[FunctionId, Function]) -> Optional[tuple[TaskId, str]]:
        """Id and app of the task that it runs; None if it has none."""
        return (self.tasks[0][0].id, functions[self.tasks[0][0].function].name) if self.tasks else None

    def running_tasks(self) -> list[Task]:
        """Tasks that it runs: one, or all of a batch that have no result."""
        return [task for task, _ in (self.tasks if self.batch is not None else list(self.tasks)[:1])]

    def is_cancelled(self, task: Task) -> bool:
        """True if the worker was ordered to stop this attempt of the task."""
        return (task.id, task.attempt) in self.cancelled
