"""Launches ready tasks: puts results in place of futures, asks the cache, and hands batches to executors.

::

    ready task ──fill arguments──> cached app? ──no──────────────> batch ──> executor.submit
                      │                └─yes──> key ──> cache ──RUN──┘
                      │                                   ├──KNOWN──> ended: DONE
                      └──arguments or key raise           ├──WAIT───> launched again when the identical call ends
                      │                                   └──CANCELLED before it waited──> ended: CANCELLED
                               └──> ended: GIVEN_UP
"""

from __future__ import annotations

import logging
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.arguments import result_for, use_of
from cnflow.dataflow.batch_parts import with_part
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, task_to_run
from cnflow.dataflow.dependencies import replace_all
from cnflow.dataflow.memo.cache import CacheDecision
from cnflow.dataflow.references import kept_result, ref
from cnflow.model.task import NO_OPTIONS, ArgumentUse, Kept, TaskToRun
from cnflow.text import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from cnflow.dataflow.dependencies import Resolver
    from cnflow.dataflow.memo.cache import ResultCache
    from cnflow.dataflow.references.keeper import ResultKeeper
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces import Executor

    FirstLookUp = Callable[[TaskRecord], CacheDecision | None]
    TaskVariables = Callable[[TaskId], Mapping[str, str]]


logger = logging.getLogger(__name__)

_ENDS = {CacheDecision.KNOWN: AttemptResult.DONE, CacheDecision.CANCELLED: AttemptResult.CANCELLED}


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 - a user's value
    return value


def with_values(arguments: Any) -> Any:  # noqa: ANN401 - a tuple or a dict of a call's
    """Return *arguments* with values in place of references, for an executor that does not pickle."""
    return replace_all(arguments, ref.Ref, ref.Ref.get)


def _with_variables(task: TaskToRun, variables: Mapping[str, str]) -> TaskToRun:
    return task._replace(options=task.options._replace(env={**variables, **task.options.env}))


class TaskLauncher(NamedTuple):
    """Launches tasks of one graph. Used without the graph's lock, since the user's code runs here."""

    records: Mapping[TaskId, TaskRecord]
    cancelled: AbstractSet[TaskId]
    """Cancelled tasks that are not final yet."""

    executors: Mapping[str, Executor]
    resolver: Resolver
    results: ResultCache
    look_up_first: FirstLookUp | None
    """Asked before *results*; returns None to leave the decision to them."""

    keeper: ResultKeeper
    variables_of: TaskVariables | None = None
    """Returns environment variables of a task that sinks wish it to have; those of the user go first."""

    def launch(self, tasks: Sequence[TaskId]) -> list[AttemptEnd]:
        """Hand *tasks* to their executors, and return the ends of those that ended without being run."""
        batches: dict[str, list[TaskToRun]] = {}
        ends = [end for task in tasks if (end := self._add_to_batch(task, batches)) is not None]
        for label, batch in batches.items():
            executor = self.executors[label]
            try:
                executor.submit(batch)
            except BaseException as error:  # of a user's executor, or of code that ours runs for the user
                if is_ctrl_c(error):
                    raise
                ends += self._give_up(executor, batch, error)
                continue
            if self.cancelled and (late := [ready.id for ready in batch if ready.id in self.cancelled]):
                executor.cancel(late)  # cancelled perhaps just before `submit`, when the executor did not know them
        return ends

    def _give_up(self, executor: Executor, batch: Sequence[TaskToRun], error: BaseException) -> list[AttemptEnd]:
        """End the tasks of a *batch* of which *executor* may have taken some before it raised."""
        logger.error("executor %s failed to take %d tasks", executor.label, len(batch), exc_info=error)
        executor.cancel([ready.id for ready in batch])
        ends: list[AttemptEnd] = []
        for ready in batch:
            record = self.records.get(ready.id)
            if record is not None:  # else it was taken, and is done
                record.error = error
                ends.append(AttemptEnd(ready.id, AttemptResult.GIVEN_UP))
        return ends

    def _add_to_batch(self, task: TaskId, batches: dict[str, list[TaskToRun]]) -> AttemptEnd | None:
        """Put *task* into its executor's batch, or return how it ended without being run."""
        record = self.records.get(task)
        if record is None:
            return None
        if record.failures:
            record.try_id = record.fail_count
        try:
            if kept_result.has_any and record.depends and self.keeper.hold(task, record):
                return None  # launched again once the results that it needs are here
            ready = self._fill(task, record)
            if record.app.batching is not None:
                apart, is_bulk = record.part
                ready = with_part(ready, apart, is_bulk=is_bulk)
            if ref.has_any and use_of(self.executors[record.executor]) is not ArgumentUse.PACKED:
                ready = ready._replace(args=with_values(ready.args), kwargs=with_values(ready.kwargs))
            decision = self._look_up(ready, record) if record.memoize else CacheDecision.RUN
        except BaseException as error:  # a user's container may refuse its results, an argument its key
            if is_ctrl_c(error):
                raise
            record.error = error
            return AttemptEnd(task, AttemptResult.GIVEN_UP)
        if decision is CacheDecision.RUN:
            has_variables = self.variables_of is not None and ready.batch is None  # else they would part all batches
            if has_variables and use_of(self.executors[record.executor]) is ArgumentUse.PACKED:
                ready = _with_variables(ready, self.variables_of(task))  # type: ignore[misc]  # it is there
            batches.setdefault(record.executor, []).append(ready)
        return AttemptEnd(task, _ENDS[decision]) if decision in _ENDS else None

    def _fill(self, task: TaskId, record: TaskRecord) -> TaskToRun:
        if not record.depends and record.kept is None and record.call_options is NO_CALL_OPTIONS:
            return TaskToRun(task, record.app, record.args, record.kwargs, NO_OPTIONS, None, record.version)
        fill: Callable[[Any], Any] = _as_it_is
        if record.depends:
            result_of = result_for(record, self.executors[record.executor])
            fill = lambda value: self.resolver.fill(value, result_of)  # noqa: E731 - rare; most tasks make no function
        ready = task_to_run(task, record, fill)
        kept = record.kept
        if kept is None:
            return ready
        source = (record.app, record.args, record.kwargs, record.call_options)
        if kept.source and not all(map(operator.is_, source, kept.source)):
            kept = record.kept = Kept()  # a retry_handler has changed the record
            ready = ready._replace(kept=kept)
        kept.source = source
        return ready

    def _look_up(self, ready: TaskToRun, record: TaskRecord) -> CacheDecision:
        if self.look_up_first is not None and (decision := self.look_up_first(record)) is not None:
            return decision
        key = self.results.key_of(ready, self.executors[record.executor], record)
        decision = self.results.look_up(key, ready.id, record)
        if decision is CacheDecision.WAIT and record.cancelling and self.results.withdraw(ready.id, record):
            return CacheDecision.CANCELLED  # before it waited, so that nobody has answered
        return decision
