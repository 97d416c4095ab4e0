"""Workers of a manager by rank, and the tasks that are with them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from cnflow.ids import WorkerRank
from cnflow.manager.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import FunctionId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import TaskParcel


class Workers(dict[WorkerRank, Worker]):
    """The workers, each of the present process of its rank."""

    def parcels(self) -> list[TaskParcel]:
        """Tasks of all workers."""
        return [task for worker in self.values() for task in worker.tasks]

    def stopping(self) -> dict[TaskId, int]:
        """Ids and attempts of the tasks that workers are to stop."""
        return {
            task.id: task.attempt for worker in self.values() for task, _ in worker.tasks if worker.is_cancelled(task)
        }

    def worker_of(self, task: TaskId, now: Seconds) -> tuple[WorkerRank, float]:
        """Rank of the worker that runs *task*, and its run time in seconds; ``(-1, 0.0)`` if none does."""
        for rank, worker in self.items():
            if any(running.id == task for running in worker.running_tasks()):
                return rank, now - worker.task_started_at
        return WorkerRank(-1), 0.0

    def is_idle(self, rank: WorkerRank) -> bool:
        """True if this worker has no task, and loads no model."""
        return not (self[rank].tasks or self[rank].loading)

    def running(self, rank: WorkerRank, functions: Mapping[FunctionId, Function]) -> Optional[tuple[TaskId, str]]:
        """Id and app of the task that this worker runs; None if it has none."""
        return self[rank].running(functions)

    @property
    def is_busy(self) -> bool:
        """True while a worker has a task."""
        return any(worker.tasks for worker in self.values())

    @property
    def ready(self) -> int:
        """Number of workers that may be given tasks."""
        return sum(worker.is_ready for worker in self.values())

    def attempts_of(self, rank: WorkerRank) -> dict[TaskId, int]:
        """Number of the attempt of each task that this worker holds."""
        return {task.id: task.attempt for task, _ in self[rank].tasks}

    def running_tasks(self) -> dict[WorkerRank, tuple[TaskId, int]]:
        """Id and attempt of the task that each worker runs; of a batch the first."""
        firsts = {rank: worker.tasks[0][0] for rank, worker in self.items() if worker.tasks}
        return {rank: (task.id, task.attempt) for rank, task in firsts.items()}

    def task_began(self, rank: WorkerRank) -> Seconds:
        """Time at which the task began that this worker runs."""
        return self[rank].task_started_at
