"""Gives a task what its arguments were at the call, whenever it is launched, and at each attempt.

::

    call ──arguments that can change──┬─launched within the call by an executor that packs──> its parcel is kept
                                      └─any other way──> copied; user's code has no hold of the copy
    a future among them ──is done, and its result can change──> the result is copied for the tasks that wait for it,
                                                                before anybody else can see and change it
    launch ──fill──> copies in place of futures ──┬─executor packs──> parcel, kept for later attempts
                                                  └─threads call the function with the copy; with a copy of that
                                                    where another attempt may follow

Arguments that cannot change (numbers, texts, paths, futures, tuples of these) are passed as they are: most calls have
no others, and pay for one look. An executor states by its attribute `argument_use` which of the ways it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.futures.app_future import failure_in, result_as_it_is
from cnflow.dataflow.references.kept_result import KeptResult
from cnflow.model.task import ArgumentUse, Kept
from cnflow.tasks.arguments import are_constant, copy_of, is_constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from cnflow.dataflow.dependencies import Resolver
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces import Executor


def use_of(executor: Executor) -> ArgumentUse:
    """Return what *executor* does with arguments; one that does not state it may do anything."""
    use: ArgumentUse = getattr(executor, "argument_use", ArgumentUse.COPIED)
    return use


def keep_arguments(record: TaskRecord, executor: Executor, resolver: Resolver) -> None:
    """Copy what can change among the arguments of *record*, a new task, unless *executor* packs them at once."""
    if not record.depends and are_constant(record.args, record.kwargs):
        return  # nearly always
    use = use_of(executor)
    if use is ArgumentUse.SHARED:
        if record.depends:
            record.args, record.kwargs = resolver.copy(record.args), resolver.copy(record.kwargs)
        return
    if record.depends:
        record.results = {}
        _keep_early_results(record, use)
    if are_constant(record.args, record.kwargs):
        return
    if use is ArgumentUse.COPIED or record.depends or record.memoize:
        record.args, record.kwargs = copy_of((record.args, record.kwargs))
    _expect_attempts(record, use)


def keep_result(future: Future[Any], value: Any, waiting: Iterable[tuple[TaskRecord, ArgumentUse]]) -> None:  # noqa: ANN401 - any result
    """Copy *value*, the result of *future*, for the tasks that wait for it, each with its executor's use of arguments.

    Called before the future is set: from then on, the user and other tasks in the driver may change the value.
    """
    if is_constant(value):
        return
    packed: Any = None
    for record, use in waiting:
        if record.results is None:
            continue  # its executor shares
        if use is ArgumentUse.PACKED:
            packed = record.results[id(future)] = copy_of(value) if packed is None else packed
        else:
            record.results[id(future)] = copy_of(value)


def result_for(record: TaskRecord, executor: Executor) -> Callable[[Any], Any]:
    """Return the function that gives the result of a future to the task of *record*, which is about to be launched."""
    results, use = record.results, use_of(executor)

    store = getattr(executor, "items", None)

    def result_of(future: Future[Any]) -> Any:  # noqa: ANN401 - any result
        value = result_as_it_is(future)
        if type(value) is KeptResult:
            if value.is_in(store):
                _expect_attempts(record, use)
                return value
            value = value.value()  # which is here: the launcher has waited
        if results is None or is_constant(value):
            return value
        if id(future) in results:
            value = results[id(future)]
        elif use is ArgumentUse.COPIED:
            value = results[id(future)] = copy_of(value)
        _expect_attempts(record, use)
        return value

    return result_of


def _keep_early_results(record: TaskRecord, use: ArgumentUse) -> None:
    """Copy the results that are there for a task that waits for others."""
    done = [future for future in record.depends if future.done()]
    if len(done) == len(record.depends):
        return  # it is launched now
    for future in done:
        if not future.cancelled() and failure_in(future) is None:
            keep_result(future, result_as_it_is(future), [(record, use)])


def _expect_attempts(record: TaskRecord, use: ArgumentUse) -> None:
    """Have later attempts find what the first one was given."""
    if record.kept is None and (use is ArgumentUse.PACKED or max(record.retries, record.staging_retries) > 0):
        record.kept = Kept()
