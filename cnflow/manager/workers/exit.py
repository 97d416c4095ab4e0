"""Decides the fate of a worker's tasks when its process ends. No I/O."""

from __future__ import annotations

from signal import SIGTERM
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from cnflow.manager import own_results
from cnflow.wire.failure_bodies import WorkerLostBody

if TYPE_CHECKING:
    from cnflow.manager.workers.worker import Worker
    from cnflow.wire.messages import ResultParcel, TaskParcel


class Exit(NamedTuple):
    """Circumstances of the end of a worker's process."""

    where: str
    exitcode: int
    """Exit status as in `subprocess.Popen.returncode`: negative is a signal."""

    stderr_tail: str
    cause: str
    """Explanation from outside the process, such as lack of memory; empty if there is none."""

    manager_ends: bool

    def settle(self, worker: Worker, name_of: Callable[[Any], str]) -> tuple[list[ResultParcel], list[TaskParcel]]:
        """Return the results of the worker's tasks, and the tasks to run again, both in order.

        Args:
            worker: whose process ended.
            name_of: returns the name of a function, by its id.
        """
        if worker.batch is not None and worker.batch.size > 1:
            return self._settle_batch(worker)
        results: list[ResultParcel] = []
        again: list[TaskParcel] = []
        for place, parcel in enumerate(worker.tasks):
            task = parcel[0]
            if worker.is_cancelled(task):
                results.append(own_results.cancel_result(task))
            elif task is worker.overdue_task:
                results.append(own_results.overrun_result(task, name_of(task.function)))
            elif self.manager_ends and place:
                results.append(own_results.return_result(task, self.where))
            elif self.manager_ends and self.exitcode == -SIGTERM:  # the sender of the signal ends the manager, too
                results.append(own_results.cut_off_result(task, self.where))
            elif place == 0 and worker.overdue_task is None:
                loss = WorkerLostBody(self.where, self.exitcode, self.stderr_tail, self.cause)
                results.append(own_results.loss_result(task, loss))
            else:
                again.append(parcel)
        return results, again

    def _settle_batch(self, worker: Worker) -> tuple[list[ResultParcel], list[TaskParcel]]:
        """Any call of the batch may have ended the worker, or been too long: they run again, in smaller batches."""
        results: list[ResultParcel] = []
        again: list[TaskParcel] = []
        for parcel in worker.tasks:
            if worker.is_cancelled(parcel[0]):
                results.append(own_results.cancel_result(parcel[0]))
            elif self.manager_ends:
                results.append(own_results.cut_off_result(parcel[0], self.where))
            else:
                again.append(parcel)
        return results, again
