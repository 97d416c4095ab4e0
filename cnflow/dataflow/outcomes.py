"""Turns outcomes of attempts into events of the state machine. The user's code in this runs without the graph's lock.

::

    executor's report ──> record: join app's function returned ──> wait for its futures ──> report of the task itself
                             │
                             ├── retry_handler prices a failure
                             ├── results of cached tasks are pickled, and written if the checkpoint's mode is task_exit
                             v
                          [AttemptEnd, ...] ──the graph takes its lock──> state machine

Each of these may take long, or wait for another task. Under the graph's lock, nobody could submit or settle a task
meanwhile, the one that is waited for included. An attempt is reported once, so that its record is this thread's alone.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import join_apps
from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.backpressure import is_driver_thread
from cnflow.dataflow.call_options import run_options
from cnflow.dataflow.retry import record_attempt
from cnflow.errors import ItemLostError, StagingError
from cnflow.model.task import AppKind, Outcome, title_of
from cnflow.tasks.call import JOIN, Call, check_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cnflow.config.config import RetryHandler
    from cnflow.dataflow.futures.callbacks import CallbackThreads
    from cnflow.dataflow.memo.cache import ResultCache
    from cnflow.dataflow.references.keeper import ResultKeeper
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId

logger = logging.getLogger(__name__)


class OutcomeRecorder:
    """Records outcomes in the records of their tasks. Safe from any thread; never called with the graph's lock.

    Args:
        records: of the tasks that are not final.
        results: cached results.
        handler: the user's `Config.retry_handler`.
        is_closed: returns True once the run ends.
        on_ends: called with the ends of join apps, from the thread that settles the last of their futures, and with
            failures that *handler* has priced.
        threads: call *handler* for failures that a thread of the driver reports.
        keeper: of results that stay on their nodes.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - parts of a graph, in the order of its own
        self,
        records: Mapping[TaskId, TaskRecord],
        results: ResultCache,
        handler: RetryHandler | None,
        is_closed: Callable[[], bool],
        on_ends: Callable[[Sequence[AttemptEnd]], None],
        threads: CallbackThreads,
        keeper: ResultKeeper,
    ) -> None:
        self._records = records
        self._results = results
        self._handler = handler
        self._is_closed = is_closed
        self._on_ends = on_ends
        self._threads = threads
        self._keeper = keeper
        self._joining: set[TaskId] = set()
        """Join apps whose functions have returned, and whose futures are not done."""

    def record(self, outcomes: Iterable[Outcome]) -> list[AttemptEnd]:
        """Record *outcomes* and return the attempts that ended; a join app's has not while it waits for futures."""
        ends: list[AttemptEnd] = []
        saved: list[TaskRecord] = []
        for outcome in outcomes:
            record = self._records.get(outcome.id)
            if record is None:
                continue
            if outcome.items or record.on_items is not None:
                outcome = self._with_items(outcome, record)  # noqa: PLW2901 - the same, with its value
            if outcome.error is None and record.memo_key is None and record.app.kind is not AppKind.JOIN:
                record.value = outcome.value  # as `record_attempt` does; nearly all come here
                record.keep_place(outcome)
                ends.append(AttemptEnd(outcome.id, AttemptResult.DONE))
            elif isinstance(outcome.error, ItemLostError) and self._keeper.on_lost(outcome.id, record, outcome.error):
                pass  # launched again once the result that it needs is made again
            elif record.app.kind is not AppKind.JOIN or outcome.error is not None:
                if self._handler is not None and outcome.error is not None and is_driver_thread():
                    self._threads.run(functools.partial(self._record_apart, outcome, record))
                else:
                    ends.append(self._end_of(outcome, record, saved))
            elif self._is_cancelled_join(outcome.id, record):
                ends.append(AttemptEnd(outcome.id, AttemptResult.CANCELLED))
            else:
                self._join(outcome.id, record, outcome.value)
        if saved:
            self._results.save(saved)
        return ends

    def _with_items(self, outcome: Outcome, record: TaskRecord) -> Outcome:
        if record.on_items is not None:
            try:
                record.on_items(outcome)
            except StagingError as error:  # of the files of this task alone
                if outcome.error is not None:  # the task's own error is what the user is to see
                    logger.warning("%s has failed, and %s", title_of(outcome.id, record.app.name), error)
                else:
                    outcome = outcome._replace(value=None, error=error)
        return self._keeper.keep(outcome, record) if outcome.items else outcome

    def is_joining(self, task: TaskId) -> bool:
        """Return True for a join app that waits for its futures, and is in no executor any more."""
        return task in self._joining

    def _record_apart(self, outcome: Outcome, record: TaskRecord) -> None:
        """Price a failure where nobody waits: a handler may take long, or wait for another task."""
        self._on_ends([self._end_of(outcome, record, [])])

    def _end_of(self, outcome: Outcome, record: TaskRecord, saved: list[TaskRecord]) -> AttemptEnd:
        end = record_attempt(outcome, record, self._handler, closed=self._is_closed())
        if record.memo_key is not None and end.result is AttemptResult.DONE:
            saved.append(record)
        return end

    def _is_cancelled_join(self, task: TaskId, record: TaskRecord) -> bool:
        # First here, then the look: a thread that cancels looks here after it has marked the record.
        self._joining.add(task)
        if record.cancelling:
            self._joining.discard(task)
        return record.cancelling

    def _join(self, task: TaskId, record: TaskRecord, returned: Any) -> None:  # noqa: ANN401 - what the user's function returned
        """Report the outcome of a join app once the futures that its function returned are done."""

        def report(outcome: Outcome) -> None:
            self._joining.discard(task)
            outcome = _with_outputs(outcome, record)
            saved: list[TaskRecord] = []
            end = self._end_of(outcome, record, saved)
            if saved:
                self._results.save(saved)
            self._on_ends([end])

        join_apps.report_when_joined(task, record.app.name, returned, report)


def _with_outputs(outcome: Outcome, record: TaskRecord) -> Outcome:
    """Return *outcome* of a join app, failed if its tasks have not made an output of it."""
    if outcome.error is not None or not record.call_options.outputs:
        return outcome
    try:
        call = Call(JOIN, record.app.name, record.app.function, (), {}, run_options(record.call_options))
        check_outputs(call, None)
    except Exception as error:  # noqa: BLE001 - it is that of the task
        return Outcome(outcome.id, None, error)
    return outcome
