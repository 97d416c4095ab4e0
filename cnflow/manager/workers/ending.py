"""Ends the workers of a manager, with all processes that their tasks have left; each step is bounded.

::

    idle, has run a task ──socket closed──> ends as any Python program: exit calls of its tasks, buffers of open files
          │                                       │
          │ 3 s                                   │ has ended
          v                                       v
    busy, or never used ──SIGTERM to its session──────1 s──> SIGKILL to what is left of the session
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.manager.workers.process import WorkerProcess

GOOD_END = 3.0
"""Seconds for exit calls and buffers; together with the rest less than providers give a manager (5 s)."""

_TERM_GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL."""

_LOOK = 0.005


def end_workers(
    workers: Iterable[WorkerProcess], is_idle: Callable[[WorkerProcess], bool], good_end: float = GOOD_END
) -> None:
    """End all *workers*; those that *is_idle* tells have no task, not even on its way, have *good_end* seconds."""
    living = list(workers)
    good = [worker for worker in living if worker.has_worked and is_idle(worker)]
    for worker in living:
        worker.close_input()
        if worker not in good:
            worker.signal_session(signal.SIGTERM)
    _await_ends(good, good_end)
    for worker in good:
        worker.signal_session(signal.SIGTERM)
    _await_ends(living, _TERM_GRACE)
    for worker in living:
        worker.close()
        worker.signal_session(signal.SIGKILL)
        worker.wait()


def _await_ends(workers: Sequence[WorkerProcess], seconds: float) -> None:
    """Return when all *workers* have ended, or after *seconds*; what they print meanwhile is passed on."""
    deadline = time.monotonic() + seconds
    while any(worker.exitcode() is None for worker in workers) and time.monotonic() < deadline:
        for worker in workers:
            worker.forward_output()
        time.sleep(_LOOK)
    for worker in workers:
        worker.forward_output()
