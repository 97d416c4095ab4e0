"""Join apps: their functions run here and return futures, whose results become theirs."""

from __future__ import annotations

import collections
import threading
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.dependencies import futures_in, with_results
from cnflow.dataflow.futures.app_future import title_of_future
from cnflow.dataflow.retry import error_of, has_failed
from cnflow.errors import JoinAppNoFuture, JoinError
from cnflow.model.task import Outcome, title_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from cnflow.ids import TaskId

LABEL = "_join"
"""Executor of the functions of join apps: a few threads of the driver."""


def report_when_joined(task: TaskId, name: str, returned: Any, report: Callable[[Outcome], None]) -> None:  # noqa: ANN401 - any value
    """Call *report* with the outcome of a join app, once all futures in what its function *returned* are done.

    A list of futures becomes the list of their results, nested containers likewise; an empty list is itself.
    """
    inner = futures_in((returned,), {})
    if not inner:
        report(_without_futures(task, name, returned))
        return
    left = len(inner)
    lock = threading.Lock()

    def one_is_done(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        _in_turn(lambda: report(_joined(task, name, returned, inner)))

    for future in inner:
        future.add_done_callback(one_is_done)


_here = threading.local()
"""The reports that are due in this thread, while one of them is being made."""


def _in_turn(report: Callable[[], None]) -> None:
    """Call *report* once those before it in this thread have returned.

    The report on a join app settles its future, which makes the one that it is part of due in turn; called inside each
    other, a join app that calls itself a hundred times would exceed Python's depth of recursion.
    """
    due: collections.deque[Callable[[], None]] | None = getattr(_here, "due", None)
    if due is not None:
        due.append(report)
        return
    _here.due = due = collections.deque([report])
    try:
        while due:
            due.popleft()()
    finally:
        del _here.due


def _without_futures(task: TaskId, name: str, returned: object) -> Outcome:
    if returned == []:
        return Outcome(task, [])
    error = JoinAppNoFuture(f"join_app {name} returned {returned!r}; it must return a future, or a list of them.")
    return Outcome(task, None, error)


def _joined(task: TaskId, name: str, returned: object, inner: list[Future[Any]]) -> Outcome:
    failed = [(error_of(future), title_of_future(future)) for future in inner if has_failed(future)]
    if not failed:
        return Outcome(task, with_results(returned))
    (error, title), *others = failed
    return Outcome(task, None, JoinError(title_of(task, name), title, error, others))
