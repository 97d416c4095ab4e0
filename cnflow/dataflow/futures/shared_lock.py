"""What a future is waited for with, at a fraction of the usual cost.

Every `concurrent.futures.Future` makes a `threading.Condition` with a lock of its own, and two lists: a dozen objects
that Python's garbage collector looks at again and again while the future waits, which was two thirds of what submitting
a task cost. Here all futures share one lock, which is held for a few instructions at a time, and have a condition only
while threads wait for them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import TracebackType

lock = threading.RLock()


class Unwaited:
    """Stands for the condition of each future that no thread waits for; it has the lock, and nobody to notify."""

    acquire = lock.acquire
    release = lock.release
    __enter__ = lock.__enter__

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock.release()

    def notify_all(self) -> None:
        """Nobody waits."""

    def wait(self, timeout: float | None = None) -> NoReturn:
        """Whoever waits brings a condition.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(f"a wait of {timeout} s without a condition")


UNWAITED = Unwaited()


def condition() -> threading.Condition:
    """One for a future that is about to be waited for."""
    return threading.Condition(lock)
