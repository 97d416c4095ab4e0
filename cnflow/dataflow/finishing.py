"""Turns decisions of the state machine into effects: records of final tasks leave the graph, with their errors.

::

    Actions (ids) ──prepare, under the graph's lock──> Effects: futures to settle, tasks to launch, without the lock
                                                          └──settle──> results are set, callbacks called or queued
"""

from __future__ import annotations

from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING

from cnflow.dataflow.actions import Actions, Effects, Settlement
from cnflow.dataflow.arguments import use_of
from cnflow.model.task import TaskState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.dataflow.backpressure import PendingLimit
    from cnflow.dataflow.failures import Failures
    from cnflow.dataflow.memo.cache import ResultCache
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor
    from cnflow.model.task import ArgumentUse


class Finisher:
    """Prepares the effects of one graph's decisions. Used under the graph's lock.

    Args:
        records: records of the tasks that are not final.
        finished: takes the records of final tasks; None where these are dropped.
        cancelled: cancelled tasks that are not final.
        failures: takes the errors of failed tasks.
        results: cached results, which other tasks may wait for.
        executors: by label.
        pending_limit: counts the unfinished tasks.
    """

    __slots__ = (
        "_cancelled",
        "_executors",
        "_failures",
        "_finished",
        "_pending_limit",
        "_records",
        "_results",
        "_settling",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - parts of a graph, in the order of its own
        self,
        records: dict[TaskId, TaskRecord],
        finished: dict[TaskId, TaskRecord] | None,
        cancelled: set[TaskId],
        failures: Failures,
        results: ResultCache,
        executors: Mapping[str, Executor],
        pending_limit: PendingLimit,
    ) -> None:
        self._records = records
        self._finished = finished
        self._cancelled = cancelled
        self._failures = failures
        self._results = results
        self._executors = executors
        self._pending_limit = pending_limit
        self._settling: dict[int, int] = {}
        """By id of the settlements that are not carried out yet, the thread that will do it."""

    def prepare(self, actions: Actions) -> Effects:
        """Pop the records of tasks that *actions* makes final and return the effects that are left to carry out.

        Under the lock of the event, so that no other thread sees a failed task without its error.
        """
        launch = actions.launch
        if not actions.final:
            return Effects((), launch)
        settlements: list[Settlement] = []
        now = monotonic()
        for task, state in actions.final:
            if task < 0:
                continue  # an external future is settled by its maker
            record = self._records.pop(task)
            future = record.future
            future._ended, future._executor = now, record.executor  # noqa: SLF001 - public names would hide a result's
            if record.failures:
                future._failures = len(record.failures)  # noqa: SLF001 - the same
            if self._cancelled:
                self._cancelled.discard(task)
            if self._finished is not None:
                self._finished[task] = record
            if state is TaskState.DONE:
                waiting = self.waiting_records(actions.waiting[task]) if task in actions.waiting else ()
                settlements.append(Settlement(record, state, record.value, waiting))
            else:
                error = self._failures.add(task, state, record, actions.failed_by.get(task))
                settlements.append(Settlement(record, state, error))
            if record.memo_key is not None:
                launch = [*launch, *self._results.on_settled(task, record)]
        self._pending_limit.on_finished()
        if settlements:
            self._settling[id(settlements)] = get_ident()
        return Effects(settlements, launch)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Set the futures of *settlements*, which `prepare` returned; without the lock.

        Raises:
            KeyboardInterrupt: the user's, in the main thread.
        """
        try:
            for settlement in settlements:
                settlement.settle()
        finally:
            self._settling.pop(id(settlements), None)

    def is_settling(self) -> bool:
        """Return True while another thread sets the futures of final tasks: their callbacks may not be queued yet."""
        own = get_ident()
        return any(thread != own for thread in self._settling.copy().values())

    def waiting_records(self, tasks: Sequence[TaskId]) -> list[tuple[TaskRecord, ArgumentUse]]:
        """Return those of *tasks*, which wait for a result, that have not failed, with their executors' use of it."""
        records = (self._records.get(task) for task in tasks)  # one that is missing has failed
        return [(record, use_of(self._executors[record.executor])) for record in records if record is not None]
