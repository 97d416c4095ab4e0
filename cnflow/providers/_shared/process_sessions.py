"""Sessions of processes on this machine: when one began, and how to end one so that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from cnflow.units import Seconds

MARK = "CNFLOW_BLOCK"
"""Variable in the environment of all processes of a block, by which those are found whose session is their own."""

_PROC = Path("/proc")
_LOOK = 0.02

# Fields after the command's closing parenthesis: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STATE, _SESSION, _STARTTIME = 0, 3, 19


def started(pid: int) -> str:
    """When a process began, in its system's own words: tells it from an earlier one of the same id; empty if none."""
    return _state_and_start(pid)[1]


def lives(pid: int, since: str) -> bool:
    """Whether the process *pid* that began at *since* still runs; one that only waits to be reaped does not."""
    state, began = _state_and_start(pid)
    return began == since and bool(began) and state not in {"Z", "X"}


def end(leaders: Collection[int], grace: Seconds) -> None:
    """Send SIGTERM to the leader of each session, then SIGKILL to all in it, *grace* later or once its leader ended."""
    deadline = time.monotonic() + grace
    since = {pid: started(pid) for pid in leaders}
    for pid in leaders:
        _signal(pid, signal.SIGTERM)
    for pid, began in since.items():
        while lives(pid, began) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        kill(pid)


def kill(leader: int) -> None:
    """Send SIGKILL to every process of the session that *leader* began, also those in process groups of their own."""
    for pid in _members(leader):
        _signal(pid, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Send SIGKILL to every process with `MARK` set to *mark*; does nothing on systems without ``/proc``.

    Each worker begins a session. When its manager is killed it ends too, and nobody else knows what its task started.
    """
    wanted = f"{MARK}={mark}".encode()
    killed: set[int] = set()
    while found := {pid for pid in _processes() if wanted in _environment(pid)} - killed:  # they may start others
        for pid in found:
            _signal(pid, signal.SIGKILL)
        killed |= found


def _processes() -> Iterator[int]:
    if _PROC.is_dir():
        yield from (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended, or is another user's
        return []


def _members(leader: int) -> Iterator[int]:
    if not _PROC.is_dir():
        yield leader
        return
    for pid in _processes():
        if (fields := _stat(pid)) and fields[_SESSION] == str(leader):
            yield pid


def _state_and_start(pid: int) -> tuple[str, str]:
    if _PROC.is_dir():
        fields = _stat(pid)
        return (fields[_STATE], fields[_STARTTIME]) if fields else ("", "")
    asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    state, _, began = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip().partition(" ")
    return state[:1], began.strip()


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):  # it ended, or has become another user's
        return
