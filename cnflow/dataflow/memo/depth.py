"""Room on the stack for ids of deep values and long chains of functions.

::

    20 levels ──> a new thread, which has a stack of its own ──20 levels──> a new thread ──> ...
    caller's own stack is nearly full ──RecursionError──> once more from the beginning, in a new thread

Python's limit is the same for each thread, and each counts from 0. So an id does not depend on how deep its caller is,
and no limit of the process is changed, under which the user's own endless recursion would end the process.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LEVELS_OF_A_THREAD = 20
_MOST_LEVELS = 4_000
"""Levels from which a value counts as one that holds itself."""

_level: ContextVar[int] = ContextVar("level", default=0)
_has_room: ContextVar[bool] = ContextVar("has_room", default=False)


def one_level_deeper(make: Callable[[], bytes]) -> bytes:
    """Return ``make()``, which makes the id of a part of a value or of code.

    Raises:
        RecursionError: there are too many levels.
    """
    level = _level.get() + 1
    if level > _MOST_LEVELS:
        raise RecursionError(f"more than {_MOST_LEVELS:,} levels")
    token = _level.set(level)
    try:
        return make() if level % _LEVELS_OF_A_THREAD else _in_thread(make)
    finally:
        _level.reset(token)


def with_room(make: Callable[[], bytes]) -> bytes:
    """Return ``make()``, however deep the caller's stack is.

    Raises:
        RecursionError: there are too many levels.
    """
    try:
        return make()
    except RecursionError:
        if _has_room.get():
            raise
    return _in_thread(make)


def has_room() -> bool:
    """Return False if a `RecursionError` may be due to the caller's stack, and `with_room` tries again."""
    return _has_room.get()


def _in_thread(make: Callable[[], bytes]) -> bytes:
    made: list[bytes] = []
    errors: list[BaseException] = []

    def run() -> None:
        _has_room.set(True)
        try:
            made.append(make())
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="cnflow key", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # a limit of the system
        raise RecursionError(f"no thread for a value of so many levels: {error}") from error
    thread.join()
    if errors:
        raise errors[0]
    return made[0]
