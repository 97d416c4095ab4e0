"""Turns decisions of the state machine into effects: records of final tasks leave the graph, with their errors.

::

    Actions (ids) ──prepare, under the graph's lock──> Effects: futures to settle, tasks to launch, without the lock
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

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


class Finisher(NamedTuple):
    """Prepares the effects of one graph's decisions. Used under the graph's lock."""

    records: dict[TaskId, TaskRecord]
    """Records of the tasks that are not final."""

    finished: dict[TaskId, TaskRecord] | None
    """Takes the records of final tasks; None where these are dropped."""

    cancelled: set[TaskId]
    """Cancelled tasks that are not final."""

    failures: Failures
    results: ResultCache
    executors: Mapping[str, Executor]
    pending_limit: PendingLimit

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
            record = self.records.pop(task)
            future = record.future
            future._ended, future._executor = now, record.executor  # noqa: SLF001 - public names would hide a result's
            if self.cancelled:
                self.cancelled.discard(task)
            if self.finished is not None:
                self.finished[task] = record
            if state is TaskState.DONE:
                waiting = self.waiting_records(actions.waiting[task]) if task in actions.waiting else ()
                settlements.append(Settlement(record, state, record.value, waiting))
            else:
                error = self.failures.add(task, state, record, actions.failed_by.get(task))
                settlements.append(Settlement(record, state, error))
            if record.memo_key is not None:
                launch = [*launch, *self.results.on_settled(task, record)]
        self.pending_limit.on_finished()
        return Effects(settlements, launch)

    def waiting_records(self, tasks: Sequence[TaskId]) -> list[tuple[TaskRecord, ArgumentUse]]:
        """Return those of *tasks*, which wait for a result, that have not failed, with their executors' use of it."""
        records = (self.records.get(task) for task in tasks)  # one that is missing has failed
        return [(record, use_of(self.executors[record.executor])) for record in records if record is not None]
