"""Holds callers up while as many tasks are unfinished as there may be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.interfaces import Report
    from cnflow.model.task import Outcome

_here = threading.local()
"""Whether this thread is in the middle of a report."""

_OURS = "cnflow-"
"""What the names of all threads begin with that run tasks in the driver, and of those that report."""


class PendingLimit:
    """Blocks whoever submits, except those on whom others wait: tasks and join apps in threads, and callbacks.

    Args:
        limit: tasks that may be unfinished; None is without limit.
        lock: held by whoever changes their number.
        unfinished: how many there are; called under the lock.
    """

    def __init__(self, limit: int | None, lock: threading.RLock, unfinished: Callable[[], int]) -> None:
        self.limit = limit
        self._changed = threading.Condition(lock)
        self._unfinished = unfinished

    def wait(self) -> None:
        """Return when there is room, or where waiting could be waiting for oneself."""
        limit = self.limit
        if limit is None or getattr(_here, "reports", False) or threading.current_thread().name.startswith(_OURS):
            return
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished() < limit)

    def tell(self) -> None:
        """Tasks are final; under the lock."""
        if self.limit is not None:
            self._changed.notify_all()

    def passing(self, report: Report) -> Report:
        """*report*, in which nothing is held up: a callback of a future submits in the thread that reports."""
        if self.limit is None:
            return report

        def marked(outcomes: Sequence[Outcome]) -> None:
            outer, _here.reports = getattr(_here, "reports", False), True
            try:
                report(outcomes)
            finally:
                _here.reports = outer

        return marked
