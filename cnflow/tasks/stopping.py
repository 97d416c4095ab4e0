"""Stops the task that runs in this process, and never another: at its walltime, or when the manager asks.

A stop is an exception that is raised in the middle of the task's code, by a signal's handler. It comes once for each
task at most; code that swallows it, or that never gets back to Python, is ended with the process by the manager.
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

_LOOK = 0.01


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
