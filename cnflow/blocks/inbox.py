"""Events on their way to the thread of a block controller.

::

    other threads ── put ──> queue ── get, or TimeoutError ──> controller
                      └── after close ──> the given function, in the thread of `put`: for answers that come too late
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def next_event(events: queue.SimpleQueue[T], seconds: float | None) -> T:
    """Take the next of *events*; wait for it for *seconds* at most, or without end.

    Python 3.10 waits for ever if a time of 0 is over when it looks a second time, which it does after an event was
    taken that had been put before. It does not look a second time at a queue that it has just found empty.

    Raises:
        queue.Empty: none came in time.
    """
    try:
        return events.get_nowait()
    except queue.Empty:
        if seconds is not None and seconds <= 0:
            raise
    return events.get(timeout=seconds)


class Inbox(Generic[T]):
    """Queue of events. `put` is safe from any thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._on_late: Callable[[T], None] | None = None

    def put(self, event: T) -> None:
        """Add an event."""
        with self._lock:
            on_late = self._on_late
            if on_late is None:
                self._queue.put(event)
        if on_late is not None:
            on_late(event)

    @property
    def is_empty(self) -> bool:
        """True if `get` would wait."""
        return self._queue.empty()

    def get(self, seconds: float) -> T:
        """Return the next event.

        Raises:
            TimeoutError: none came in time.
        """
        try:
            return next_event(self._queue, seconds)
        except queue.Empty:
            raise TimeoutError from None

    def close(self, on_late: Callable[[T], None]) -> None:
        """Hand each event that is not taken, and each that is put from now on, to *on_late*."""
        with self._lock:
            self._on_late = on_late
        while not self._queue.empty():
            on_late(self._queue.get())
