"""Follows the batch that a worker runs: its results, its length, and what becomes of it when the worker ends. No I/O.

::

    sent ──> results in the order of the calls ──> over: its duration is recorded
                 └── UNANSWERED of some, at the walltime ──> halves
    worker ends ──> the call that was alone in it is lost, or timed out
                └── calls of several ──> halves; those that were cancelled are not run again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.manager import own_results
from cnflow.manager.batching.batcher import rows_of
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId
    from cnflow.manager.workers.worker import Worker
    from cnflow.units import Seconds
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel


class RunningBatch:
    """Batch of one or more calls that a worker has.

    Args:
        parcels: the calls.
        began: time at which it was sent.
        is_cold: the worker may have to load the model first: its duration is none of the model's.
    """

    __slots__ = ("_answered", "began", "function", "is_cold", "rows", "size")

    def __init__(self, parcels: list[TaskParcel], began: Seconds, *, is_cold: bool) -> None:
        self.function: FunctionId = parcels[0][0].function
        self.size = len(parcels)
        self.rows = rows_of(parcels)
        self.began = began
        self.is_cold = is_cold
        self._answered = 0

    @property
    def is_measure(self) -> bool:
        """True if its duration tells how long such a batch takes: it ran to its end, with a model that was loaded."""
        return not self.is_cold and self._answered == self.size and self.rows > 0

    def accept(
        self, worker: Worker, results: Iterable[ResultParcel]
    ) -> tuple[list[TaskParcel], list[ResultParcel], list[TaskParcel]]:
        """Match results of *worker* with its calls, which they take from it.

        Returns:
            The calls that have ended; all results in order, pieces of streams among them; the calls to run again in
            smaller batches.
        """
        ended: list[TaskParcel] = []
        forwarded: list[ResultParcel] = []
        again: list[TaskParcel] = []
        tasks = worker.tasks
        for parcel in results:
            result = parcel[0]
            if not tasks or tasks[0][0].id != result.id:
                continue
            task = tasks[0][0]
            result.attempt = task.attempt
            if result.kind == ResultKind.PARTIAL:
                forwarded.append(parcel)
                continue
            call = tasks.popleft()
            if result.kind == ResultKind.UNANSWERED and self.size > 1 and not worker.is_cancelled(task):
                again.append(call)
                continue
            self._answered += result.kind in _ANSWERS
            ended.append(call)
            forwarded.append(parcel if result.kind != ResultKind.UNANSWERED else _end_of_unanswered(worker, task))
            worker.cancelled.discard((task.id, task.attempt))
        return ended, forwarded, again


_ANSWERS = frozenset({ResultKind.VALUE, ResultKind.RAISED, ResultKind.UNPICKLABLE})


def _end_of_unanswered(worker: Worker, task: Task) -> ResultParcel:
    """Result of a call that is not run again."""
    if worker.is_cancelled(task):
        return own_results.cancel_result(task)
    return own_results.overrun_result(task, "predict")
