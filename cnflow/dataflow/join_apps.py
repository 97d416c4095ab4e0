"""Join apps: their functions run in the driver and return futures, whose results become the task's result.

::

    function returns ──no future──> [] or JoinAppNoFuture
          │
          └─futures──> wait for all ──all have results──> result: the container with results
                                    └─some failed──> JoinError
"""

from __future__ import annotations

import collections
import functools
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.dependencies import fill_results, find_futures
from cnflow.dataflow.futures.app_future import result_as_it_is, title_of_future
from cnflow.dataflow.futures.callbacks import on_done
from cnflow.dataflow.references.keeper import Countdown, kept_results
from cnflow.dataflow.retry import error_of, has_failed
from cnflow.errors import JoinAppNoFuture, JoinError
from cnflow.model.task import Outcome, title_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.ids import TaskId

LABEL = "_join"
"""Label of the executor for the functions of join apps: a few threads of the driver."""


def report_when_joined(task: TaskId, name: str, returned: Any, report: Callable[[Outcome], None]) -> None:  # noqa: ANN401 - any value
    """Call *report* with the outcome of a join app, once all futures in what its function *returned* are done.

    A list of futures becomes the list of their results, nested containers likewise; an empty list is its own result.
    """
    inner = find_futures((returned,), {})
    if not inner:
        report(_outcome_without_futures(task, name, returned))
        return
    left = len(inner)
    lock = threading.Lock()

    def on_inner_done(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        outcome = functools.partial(_outcome_of_futures, task, name, returned, inner)
        _when_here(returned, inner, lambda broken: _run_in_turn(lambda: report(outcome(broken))))

    for future in inner:
        on_done(future, on_inner_done)


_local = threading.local()
"""``due``: reports that wait for the one that runs in this thread."""


def _run_in_turn(report: Callable[[], None]) -> None:
    """Call *report* once the reports before it in this thread have returned.

    The report on a join app settles its future, which makes the report on the join app around it due. If each ran
    inside the other, a join app that calls itself a hundred times would exceed Python's limit of recursion.
    """
    due: collections.deque[Callable[[], None]] | None = getattr(_local, "due", None)
    if due is not None:
        due.append(report)
        return
    _local.due = due = collections.deque([report])
    try:
        while due:
            due.popleft()()
    finally:
        del _local.due


def _when_here(returned: object, inner: list[Future[Any]], function: Callable[[BaseException | None], None]) -> None:
    """Call *function* once the results of *inner*, all done, are in the driver, but for one that is passed on whole.

    Its argument is the error of one that cannot be had.
    """
    away = [] if isinstance(returned, Future) else [kept for kept in kept_results(inner) if not kept.is_here()]
    if not away:
        function(None)
        return
    left = Countdown(len(away), function)
    for kept in away:
        kept.fetch().add_done_callback(left.on_done)


def _outcome_without_futures(task: TaskId, name: str, returned: object) -> Outcome:
    if returned == []:
        return Outcome(task, [])
    error = JoinAppNoFuture(f"join_app {name} returned {returned!r}; it must return a future, or a list of them.")
    return Outcome(task, None, error)


def _outcome_of_futures(
    task: TaskId, name: str, returned: object, inner: list[Future[Any]], broken: BaseException | None
) -> Outcome:
    failures = [(error_of(future), title_of_future(future)) for future in inner if has_failed(future)]
    if not failures and broken is not None:
        return Outcome(task, None, broken)
    if not failures:
        try:
            # A single result that stays on its node does so, too, as the result of the join app.
            value = result_as_it_is(returned) if isinstance(returned, Future) else fill_results(returned)
        except BaseException as error:  # noqa: BLE001 - a result that cannot be loaded
            return Outcome(task, None, error)
        return Outcome(task, value)
    (first, title), *others = failures
    return Outcome(task, None, JoinError(title_of(task, name), title, first, others))
