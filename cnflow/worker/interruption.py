"""Stops the task that runs in this process, and never another: at its walltime, or when the manager asks.

A stop is an exception that is raised in the middle of the task's code, by a signal's handler. It comes once for each
task at most; code that swallows it, or that never gets back to Python, is ended with the process by the manager.
"""

from __future__ import annotations

import math
import os
import signal
import time
from typing import TYPE_CHECKING, Optional

from cnflow.tasks.stopping import Cancelled
from cnflow.wire.pipe import unpack_stops

if TYPE_CHECKING:
    import subprocess

_CHUNK = 4096
_LONGEST = 1e8
"""Seconds; a timer takes no infinity."""


class Guard:
    """Raises a task's stop where it belongs. Made once, in the main thread, before any task.

    Args:
        stops: descriptor of the pipe over which the manager names tasks; it sends SIGUSR1 when it has.
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

    def begin(self, name: str, walltime: float) -> None:
        """The next task begins now: an app of that name, with *walltime* seconds, or any if that is 0.

        Raises:
            Cancelled: it is to be stopped already.
        """
        self._deadline = math.inf  # a timer of the task before may still run: it must find nothing due
        self._running = self._held = self._raised = False
        self._reason = None
        self._number += 1
        if walltime:
            from cnflow.errors import AppTimeout  # noqa: PLC0415 - most workers never need it

            self._overrun = AppTimeout(name, walltime)
            signal.signal(signal.SIGALRM, self._on_alarm)  # a task before may have put its own there
            self._deadline = time.monotonic() + walltime
            signal.setitimer(signal.ITIMER_REAL, min(walltime, _LONGEST))
        self._running = True
        if self._cancelled:
            self._cancelled = {number for number in self._cancelled if number >= self._number}
            self._look()

    def end(self) -> None:
        """The task has ended: from now on nothing is raised. To be called in any case."""
        self._running = False
        if self._deadline < math.inf:
            self._deadline = math.inf
            signal.setitimer(signal.ITIMER_REAL, 0.0)

    def take_stop(self) -> Optional[BaseException]:
        """What was raised in the task that ended last, if anything was; kept no longer."""
        reason, self._reason = self._reason, None
        return reason if self._raised else None

    def hold(self) -> None:
        """As `Control.hold`."""
        self._held = True

    def release(self) -> None:
        """The reverse of `hold`; raises what came meanwhile."""
        self._held = False
        if self._reason is not None and not self._raised:
            self._raised = True
            raise self._reason

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """As `Control.wait`."""
        self.release()
        try:
            return process.wait()
        finally:
            self.hold()

    def _on_alarm(self, *_: object) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._stop(self._overrun)
        elif left < math.inf:
            signal.setitimer(signal.ITIMER_REAL, min(left, _LONGEST))

    def _on_cancel(self, *_: object) -> None:
        try:
            while data := os.read(self._stops, _CHUNK):
                self._cancelled.update(unpack_stops(data))
        except BlockingIOError:
            pass
        self._look()

    def _look(self) -> None:
        if self._number in self._cancelled:
            self._stop(Cancelled())

    def _stop(self, reason: BaseException) -> None:
        if not self._running or self._reason is not None:
            return
        self._reason = reason
        if not self._held:
            self._raised = True
            raise reason
