"""One lock for all futures, and conditions only for those that threads wait for.

    future is made ──> condition is NO_WAITERS, one object for all futures: it has the lock, and notifies nobody
          │
          │ a thread calls result() or exception() before the end
          v
    condition is a `threading.Condition` of the future's own, over the same lock
          │
          │ the future is settled
          v
    its threads wake one by one

A plain `concurrent.futures.Future` makes a `threading.Condition` with a lock of its own, and two lists: a dozen objects
that Python's garbage collector visits again and again while the future waits, which was two thirds of the cost of
submitting a task. The shared lock is held for a few instructions at a time. See
docs/decisions/0012-futures-share-a-lock.md.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

lock = threading.RLock()


class NoWaiters:
    """Condition of every future that no thread waits for."""

    acquire = lock.acquire
    release = lock.release
    __enter__ = lock.__enter__

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock.release()

    def notify_all(self) -> None:
        """Do nothing: no thread waits."""

    def wait(self, timeout: float | None = None) -> NoReturn:
        """Fail: a thread sets a condition of its own before it waits.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"a wait of {timeout} s without a condition")


NO_WAITERS = NoWaiters()


def new_condition() -> threading.Condition:
    """Make the condition of a future that is about to be waited for."""
    return threading.Condition(lock)
