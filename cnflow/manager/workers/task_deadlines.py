"""Deadlines of the tasks that workers run: when the worker of one that does not stop is killed. No I/O.

::

    on_first_task ──> no limit ─────────────────────> never            on_stop_ordered ──> GRACE from now, or earlier
          ├── walltime ──> at its end, and GRACE                             │
          └── was to be stopped before it ran ──> GRACE from now             └──> due, unless the next task begins
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import WorkerRank
    from cnflow.manager.workers.worker import Worker

GRACE = Seconds(2.0)
"""Time between the order to stop a task, or its walltime, and the kill of its worker."""

_NEVER = Seconds(math.inf)


class TaskDeadlines:
    """Deadlines by worker, each of which runs one task at a time."""

    def __init__(self) -> None:
        self._at: dict[WorkerRank, Seconds] = {}

    @property
    def next_at(self) -> Seconds:
        """Time of the first deadline; infinite while no running task has one."""
        return min(self._at.values()) if self._at else _NEVER

    def on_first_task(self, rank: WorkerRank, worker: Worker, now: Seconds) -> None:
        """Record that the first task of *worker*, if it has one, starts now."""
        worker.task_started_at = now
        if self._at:
            self._at.pop(rank, None)
        if not worker.tasks or worker.overdue_task is not None:
            return
        task = worker.tasks[0][0]
        if worker.is_cancelled(task):
            self._at[rank] = Seconds(now + GRACE)
        elif task.walltime:
            self._at[rank] = Seconds(now + task.walltime + GRACE)

    def on_stop_ordered(self, rank: WorkerRank, now: Seconds) -> None:
        """Give the task that runs in worker *rank* its grace, but no more than it had."""
        self._at[rank] = min(Seconds(now + GRACE), self._at.get(rank, _NEVER))

    def take_due(self, now: Seconds) -> list[WorkerRank]:
        """Remove and return the workers whose task has passed its deadline."""
        due = [rank for rank, at in self._at.items() if at <= now]
        for rank in due:
            del self._at[rank]
        return due

    def remove(self, rank: WorkerRank) -> None:
        """Remove the deadline of a worker that has ended."""
        self._at.pop(rank, None)

    def clear(self) -> None:
        """Remove all deadlines: no worker has a task."""
        self._at.clear()
