"""Calls a function for several things at once: a call of a cloud takes a quarter of a second.

Threads of its own, since those of `concurrent.futures` take no work once the script has come to its end, when machines
have still to be deleted.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

T = TypeVar("T")
_AT_ONCE = 8


def for_each(call: Callable[[T], object], things: Collection[T], at_once: int = _AT_ONCE) -> None:
    """Call *call* with each of *things*.

    Raises:
        BaseException: one that a call raised, once all calls have ended.
    """
    waiting, errors = list(things), []

    def work() -> None:
        while True:
            try:
                thing = waiting.pop()
            except IndexError:
                return
            try:
                call(thing)
            except BaseException as error:  # noqa: BLE001 - for the caller's thread
                errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(waiting)) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
