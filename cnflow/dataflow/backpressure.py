"""Blocks submission while `Config.max_pending` tasks are unfinished.

::

    submit ──unfinished < limit─────────────────────────────> task enters the graph
       │                                                        ^
       └──limit reached──> wait ──on_finished: fewer than limit─┘

Threads on which unfinished tasks depend are exempt, or the run would stand still: threads that run tasks and join apps
in the driver, and a thread that reports outcomes, in which callbacks of futures submit.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.interfaces import Report
    from cnflow.model.task import Outcome

_local = threading.local()
"""``is_reporting``: True while this thread is inside a report."""

_DRIVER_THREADS = "cnflow-"
"""Prefix of the names of all threads that run tasks in the driver, and of those that report."""


def is_driver_thread() -> bool:
    """Return True in a thread that runs tasks, joins or reports outcomes in the driver."""
    return threading.current_thread().name.startswith(_DRIVER_THREADS)


class PendingLimit:
    """Limits the number of unfinished tasks.

    Args:
        limit: number of tasks that may be unfinished; None is no limit.
        lock: lock that is held while the number changes.
        unfinished: returns the number; called under the lock.
    """

    def __init__(self, limit: int | None, lock: threading.RLock, unfinished: Callable[[], int]) -> None:
        self.limit = limit
        self._changed = threading.Condition(lock)
        self._unfinished = unfinished

    def wait(self) -> None:
        """Return once there are fewer unfinished tasks than the limit; at once in an exempt thread."""
        limit = self.limit
        if limit is None or getattr(_local, "is_reporting", False) or is_driver_thread():
            return
        with self._changed:
            self._changed.wait_for(lambda: self._unfinished() < limit)

    def on_finished(self) -> None:
        """Wake the submitters that wait; called under the lock."""
        if self.limit is not None:
            self._changed.notify_all()

    def on_callback_returned(self) -> None:
        """Wake the submitters that wait: a callback holds its task's result no more."""
        with self._changed:
            self._changed.notify_all()

    def exempt(self, report: Report) -> Report:
        """Return *report* such that callbacks of futures, which run inside it, are never blocked."""
        if self.limit is None:
            return report

        def report_exempt(outcomes: Sequence[Outcome]) -> None:
            outer, _local.is_reporting = getattr(_local, "is_reporting", False), True
            try:
                report(outcomes)
            finally:
                _local.is_reporting = outer

        return report_exempt
