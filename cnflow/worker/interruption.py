"""Signal handlers that stop the task of this process: at its walltime (SIGALRM), or by order of the manager (SIGUSR1).

::

    start ──> runs ──────────────────────────────────────────> end
                │  walltime, or its number came over the pipe: Cancelled or AppTimeout
                │     is raised in the middle of the task's code
                ├── hold:    the stop waits ──> release raises it
                └── wait:    released while a command runs, held again afterwards

A stop hits the task that runs, once, and never another: an order for an earlier task is dropped, one for a later task
waits for its `start`. The manager kills the process if the task swallows the stop or does not return to Python code.
"""

from __future__ import annotations

import math
import os
import signal
import time
from typing import TYPE_CHECKING, Optional

from cnflow.tasks.command_peak import commands
from cnflow.tasks.stopping import Cancelled
from cnflow.wire.pipe import unpack_stops

if TYPE_CHECKING:
    import subprocess

_CHUNK = 4096
_MAX_TIMER = 1e8
"""Seconds; a timer does not accept infinity."""


class Guard:
    """Delivers stops to the task that runs; a `cnflow.tasks.stopping.Stoppable`.

    Created once, in the main thread, before the first task.

    Args:
        stops: descriptor of the pipe with the numbers of tasks to stop; the manager sends SIGUSR1 after each write.
    """

    def __init__(self, stops: int) -> None:
        os.set_blocking(stops, False)
        self._stops = stops
        self._cancelled: set[int] = set()
        self._number = -1
        self._running = False
        self._held = False
        self._overrun: BaseException = TimeoutError()
        self._deadline = math.inf
        self._reason: Optional[BaseException] = None
        self._raised = False
        signal.signal(signal.SIGUSR1, self._on_cancel)

    def start(self, name: str, walltime: float) -> None:
        """Start the clock of the next task.

        Args:
            name: of its app.
            walltime: in seconds; 0 sets no limit.

        Raises:
            Cancelled: the order to stop it came before its start.
        """
        self._deadline = math.inf  # first: a timer of the previous task may still fire, and must find no deadline
        self._running = self._held = self._raised = False
        self._reason = None
        self._number += 1
        if walltime:
            from cnflow.errors import AppTimeout

            self._overrun = AppTimeout(name, walltime)
            signal.signal(signal.SIGALRM, self._on_alarm)  # an earlier task may have installed its own
            self._deadline = time.monotonic() + walltime
            signal.setitimer(signal.ITIMER_REAL, min(walltime, _MAX_TIMER))
        self._running = True
        if self._cancelled:
            self._cancelled = {number for number in self._cancelled if number >= self._number}
            self._stop_if_cancelled()

    def end(self) -> None:
        """End the task: nothing is raised any more. Must be called after `start`, even if that raised."""
        self._running = False
        if self._deadline < math.inf:
            self._deadline = math.inf
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def take_stop(self) -> Optional[BaseException]:
        """Remove and return the stop that was raised in the last task; None if there was none."""
        reason, self._reason = self._reason, None
        return reason if self._raised else None

    @property
    def is_stopped(self) -> bool:
        """True from when the stop of the task was raised until the next one starts."""
        return self._raised

    def hold(self) -> None:
        """Hold stops back, as `Control.hold`."""
        self._held = True

    def release(self) -> None:
        """End a hold; raise the stop that arrived during it."""
        self._held = False
        if self._reason is not None and not self._raised:
            self._raised = True
            raise self._reason

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a command, as `Control.wait`."""
        self.release()
        try:
            return commands.wait(process)
        finally:
            self.hold()

    def _on_alarm(self, *_: object) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._stop(self._overrun)
        elif left < math.inf:
            signal.setitimer(signal.ITIMER_REAL, min(left, _MAX_TIMER))

    def _on_cancel(self, *_: object) -> None:
        try:
            while data := os.read(self._stops, _CHUNK):
                self._cancelled.update(unpack_stops(data))
        except BlockingIOError:
            pass
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._number in self._cancelled:
            self._stop(Cancelled())

    def _stop(self, reason: BaseException) -> None:
        if not self._running or self._reason is not None:
            return
        self._reason = reason
        if not self._held:
            self._raised = True
            raise reason
