"""Lines on stderr at the end of a run: tasks that it dropped, and failures that nobody asked about. No I/O but that.

::

    task not DONE ──cancelled─────────────────────────────────────────────> nothing to report
          ├──by the end of the run, or by a task that was────────────────> dropped
          ├──by its own error ──asked for───────────────────────────────> nothing: the user has seen it
          │                   ├─asked for in that of a task behind it──> nothing: it names the error
          │                   └─neither────────────────────────────────> failed, unseen
          └──by another task's error ──> counted with that one

A failure is asked for by `AppFuture.result` and `AppFuture.exception`, of the task or of a part of its result. A script
whose tasks all fail would otherwise end with code 0 and without a word.
"""

from __future__ import annotations

import contextlib
import sys
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, NamedTuple

from cnflow.dataflow.futures.app_future import is_asked, title_of_future
from cnflow.errors import ExecutorClosedError
from cnflow.errors.propagated import PropagatedError
from cnflow.text import in_a_sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.dataflow.futures.app_future import AppFuture

LONGEST = 300
"""Characters of an error's text that are kept for the line."""


class Failure(NamedTuple):
    """A task that ended without a result."""

    future: AppFuture
    error: BaseException
    words: str
    """Class and text of the error, made where the task ran."""


def lines_on(failures: Iterable[Failure], submitted: int, why: str) -> list[str]:
    """Return the lines about *failures* of a run with *submitted* tasks that ended since *why*."""
    dropped: list[Failure] = []
    failed: list[Failure] = []
    seen: set[int] = set()
    for failure in sorted(failures, key=lambda failure: failure.future.tid):
        if isinstance(failure.error, CancelledError):
            continue
        (dropped if _is_dropped(failure.error) else failed).append(failure)
        if is_asked(failure.future):
            _add_chain(failure.error, seen)
    unseen = [failure for failure in failed if not _is_seen(failure, seen)]
    lines = [_line_on_dropped(dropped, submitted, why)] if dropped else []
    return [*lines, _line_on_unseen(unseen)] if unseen else lines


def lines_on_callbacks(number: int) -> list[str]:
    """Return the line about *number* callbacks that are not waited for."""
    if not number:
        return []
    have = "1 callback of a future has" if number == 1 else f"{number} callbacks of futures have"
    return [f"{have} not returned when the run ended; the end of the process ends {'it' if number == 1 else 'them'}"]


def write(lines: Iterable[str]) -> None:
    """Write *lines* to stderr, if there is one."""
    for line in lines:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # None, a closed pipe, closed
            sys.stderr.write(f"cnflow: {line}\n")
            sys.stderr.flush()


def _line_on_dropped(dropped: list[Failure], submitted: int, why: str) -> str:
    were = "1 task was" if len(dropped) == 1 else f"{len(dropped)} tasks were"
    first = in_a_sentence(title_of_future(dropped[0].future))
    return f"{were} not done when the run ended ({why}), and dropped, of {submitted} in all. The first: {first}"


def _line_on_unseen(unseen: list[Failure]) -> str:
    own = [failure for failure in unseen if not isinstance(failure.error, PropagatedError)]
    first, behind = (own or unseen)[0], len(unseen) - len(own)
    number = len(own) or len(unseen)
    what = "1 task has failed" if number == 1 else f"{number} tasks have failed"
    more = f", {behind} more were not run because of that" if own and behind else ""
    words = " ".join(first.words.split())
    title = in_a_sentence(title_of_future(first.future))
    return (
        f"{what}{more}, and nobody asked for {'its' if number == 1 else 'their'} results. The first: {title}: {words}"
    )


def _is_dropped(error: BaseException) -> bool:
    root = error.root_cause if isinstance(error, PropagatedError) else error
    return isinstance(root, ExecutorClosedError)


def _is_seen(failure: Failure, seen: set[int]) -> bool:
    error = failure.error
    if is_asked(failure.future) or id(error) in seen:
        return True
    return isinstance(error, PropagatedError) and id(error.root_cause) in seen


def _add_chain(error: BaseException, seen: set[int]) -> None:
    """Add *error* and those that it names to *seen*."""
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, PropagatedError):
            left += [each.failed_by, *(other for other, _ in each.others)]
