"""Seam between running tasks and the reasons to stop them; ends the process groups of commands.

::

    worker process:         cnflow.worker.interruption.Guard    raises the stop from a signal handler
    thread of the driver:   cnflow.tasks.thread_stopping   raises it in the thread, or ends the command

    shell, environment ──hold──> set up ──wait (a stop is raised only here)──> hold ──> undo, end_group(process)

A stop is an exception, raised at most once per task: `Cancelled`, or `AppTimeout` at the walltime.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import subprocess

TERM_GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL for a command; less than a manager gives its worker."""

_FIRST_POLL = 0.01
"""Seconds; each further pause is longer by half."""


class Cancelled(BaseException):
    """Raised in a task that the user cancelled; no `Exception`, so that few handlers swallow it."""


class Control(Protocol):
    """Delivers stops while a command runs, in a worker process or in a thread of the driver."""

    def hold(self) -> None:
        """Hold stops back from now on, so that setting up and undoing are not interrupted."""

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for *process* and return its exit code; stops are delivered while this waits.

        Raises:
            BaseException: the stop. The caller then ends the group of *process*.
        """


class Stoppable(Control, Protocol):
    """A `Control` that can deliver a stop to Python code as well."""

    def release(self) -> None:
        """End a hold; raise the stop that arrived during it, if one did."""


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End the process group that *process* leads: SIGTERM first, SIGKILL after `TERM_GRACE`."""
    deadline = time.monotonic() + TERM_GRACE
    signal_group(process.pid, signal.SIGTERM)
    pause = _FIRST_POLL
    while _is_group_alive(process) and time.monotonic() < deadline:
        time.sleep(pause)  # the system reports the end of a process, not that of its group
        pause *= 1.5
    signal_group(process.pid, signal.SIGKILL)
    process.wait()


def signal_group(leader: int, number: int) -> bool:
    """Send signal *number* to the group of *leader*; return whether that group exists and is ours."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):  # it ended, or its rest belongs to another user
        return False
    return True


def _is_group_alive(process: subprocess.Popen[bytes]) -> bool:
    """True if a process of the group runs. Zombies do not count: in many containers no process reaps orphans."""
    if process.poll() is None:
        return True
    if not signal_group(process.pid, 0):
        return False
    try:
        entries = os.listdir("/proc")
    except OSError:
        return True
    return any(_is_running_in(entry, process.pid) for entry in entries if entry.isdigit())


def _is_running_in(pid: str, group: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # State and group come after the command's name: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
            state, _, found = file.read().rpartition(b")")[2].split()[:3]
    except OSError:
        return False
    return int(found) == group and state not in {b"Z", b"X"}
