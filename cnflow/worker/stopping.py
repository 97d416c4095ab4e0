"""Stops the task that runs in this process, and never another: at its walltime, or when the manager asks.

A stop is an exception that is raised in the middle of the task's code, by a signal's handler. It comes once for each
task at most; code that swallows it, or that never gets back to Python, is ended with the process by the manager.
"""

from __future__ import annotations

import math
import os
import signal
import time
from typing import TYPE_CHECKING, Optional, Protocol

from cnflow.wire.pipe import unpack_stops

if TYPE_CHECKING:
    import subprocess

_CHUNK = 4096
TERM_GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL for a command; less than a manager gives its worker."""

_LOOK = 0.01
_LONGEST = 1e8
"""Seconds; a timer takes no infinity."""


class Cancelled(BaseException):
    """Raised in a task that is not wanted any more; no `Exception`, so that few handlers swallow it."""


class Control(Protocol):
    """How a running command is kept stoppable, in a worker's process or in a thread of the driver."""

    def hold(self) -> None:
        """From now on a stop is remembered, not raised: what is begun must not be left half done."""

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code of *process*, once it ends; a hold again afterwards.

        Raises:
            BaseException: the stop. The caller then ends what *process* left.
        """


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


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End *process*, which leads a process group, and all in it: SIGTERM first, SIGKILL after a second."""
    deadline = time.monotonic() + TERM_GRACE
    signal_group(process.pid, signal.SIGTERM)
    look = _LOOK
    while _lives(process) and time.monotonic() < deadline:
        time.sleep(look)  # a group tells nobody that it has ended
        look *= 1.5
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def signal_group(leader: int, number: int) -> bool:
    """Signal the group of *leader*; whether there is one."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # it has ended, or what is left of it belongs to another user
        return False
    return True


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether one of its group runs; in many containers nobody reaps orphans, which then stay as zombies."""
    if process.poll() is None:
        return True
    if not signal_group(process.pid, 0):
        return False
    try:
        entries = os.listdir("/proc")  # noqa: PTH208 - pathlib is slow to import
    except OSError:
        return True
    return any(_runs_in(entry, process.pid) for entry in entries if entry.isdigit())


def _runs_in(pid: str, group: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - as above
            # State and group come after the command's name: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
            state, _, found = file.read().rpartition(b")")[2].split()[:3]
    except OSError:
        return False
    return int(found) == group and state not in {b"Z", b"X"}
