"""What becomes of a worker's tasks when its process ends; pure."""

from __future__ import annotations

from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.manager import own_results
from cnflow.wire.failure_bodies import WorkerLostBody

if TYPE_CHECKING:
    from cnflow.manager.workers.worker import Worker
    from cnflow.wire.messages import ResultParcel, TaskParcel


class Exit(NamedTuple):
    """How a worker's process ended."""

    where: str
    exitcode: int
    stderr_tail: str
    cause: str
    """What else is known of why."""

    manager_ends: bool

    def fates(self, worker: Worker, name_of: Callable[[Any], str]) -> tuple[list[ResultParcel], list[TaskParcel]]:
        """Results of its tasks, and those to run again, in order; *name_of* tells that of a function."""
        results: list[ResultParcel] = []
        again: list[TaskParcel] = []
        for place, parcel in enumerate(worker.tasks):
            task = parcel[0]
            if task.id in worker.cancelled:
                results.append(own_results.cancelled(task.id))
            elif task.id == worker.killed_for:
                results.append(own_results.overrun(task, name_of(task.function)))
            elif self.manager_ends and place:
                results.append(own_results.handed_back(task.id, self.where))
            elif self.manager_ends and self.exitcode == -SIGTERM:  # whoever ends the manager ended the worker as well
                results.append(own_results.cut_off(task.id, self.where))
            elif place == 0 and worker.killed_for is None:
                results.append(
                    own_results.lost(task.id, WorkerLostBody(self.where, self.exitcode, self.stderr_tail, self.cause))
                )
            else:
                again.append(parcel)
        return results, again
