"""Keeps answers that were dear, so that pages that many look at ask the database seldom."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

_MOST = 256
_SHARE = 20.0
"""An answer is kept for so many times as long as it took: at most a twentieth of the time is spent on it."""


class Answers:
    """Answers by question; each question is asked by one thread at a time."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[object, float, object]] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, question: Hashable, change: object, answer: Callable[[], T]) -> T:
        """Return the answer to *question*: the kept one while *change* is the same or it is young, else *answer*'s."""
        with self._lock:
            lock = self._locks.setdefault(question, threading.Lock())
        with lock:
            kept = self._kept.get(question)
            if kept is not None and (kept[0] == change or time.monotonic() < kept[1]):
                return cast("T", kept[2])
            begun = time.monotonic()
            try:
                made = answer()
            except BaseException:
                with self._lock:
                    if question not in self._kept:  # such as one on a run that is not there
                        self._locks.pop(question, None)
                raise
            now = time.monotonic()
            with self._lock:
                while len(self._kept) >= _MOST:
                    oldest = next(iter(self._kept))
                    del self._kept[oldest]
                    self._locks.pop(oldest, None)
                self._kept[question] = (change, now + (now - begun) * _SHARE, made)
            return made

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
