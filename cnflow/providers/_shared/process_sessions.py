"""Sessions of processes on this machine: finding one, and ending one so that nothing of it is left."""

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
"""Variable in the environment of all processes of a block: finds those, too, that lead a session of their own."""

_PROC = Path("/proc")
_LOOK = 0.02

# Fields after the command's closing parenthesis: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
_STATE, _PARENT, _SESSION, _STARTTIME = 0, 1, 3, 19
_DEAD = frozenset({"Z", "X"})


def start_of(pid: int) -> str:
    """Return the start of a process in its system's own words: no earlier process of its id has it. Empty if none."""
    return _state_and_start(pid)[1]


def lives(pid: int, since: str) -> bool:
    """Return True if the process *pid* that began at *since* runs; one that waits to be reaped does not."""
    state, began = _state_and_start(pid)
    return began == since and bool(began) and state not in _DEAD


def end(leaders: Collection[int], grace: Seconds) -> None:
    """Send SIGTERM to the leader of each session, then SIGKILL to all in it, *grace* later or once its leader ended."""
    deadline = time.monotonic() + grace
    since = {pid: start_of(pid) for pid in leaders}
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

    Each worker leads a session. When its manager is killed it ends too, and only the mark leads to its processes.
    """
    killed: set[int] = set()
    while found := {pid for pid in _processes() if mark_of(pid) == mark} - killed:  # they may start others
        for pid in found:
            _signal(pid, signal.SIGKILL)
        killed |= found


def find_leaders(prefix: str) -> dict[str, int]:
    """Return the first process of each block whose mark begins with *prefix*, by mark; none without ``/proc``."""
    marks = {pid: mark for pid in _processes() if (mark := mark_of(pid)).startswith(prefix)}
    leaders: dict[str, int] = {}
    for pid, mark in marks.items():
        fields = _stat(pid)
        if fields and int(fields[_PARENT]) not in marks and fields[_STATE] not in _DEAD:
            earlier = leaders.get(mark)
            if earlier is None or int(fields[_STARTTIME]) < int(start_of(earlier) or 0):
                leaders[mark] = pid
    return leaders


def mark_of(pid: int) -> str:
    """Return the value of `MARK` in the environment of a process; empty if it has none, or cannot be read."""
    start = f"{MARK}=".encode()
    return next(
        (entry[len(start) :].decode(errors="replace") for entry in _environment(pid) if entry.startswith(start)), ""
    )


def output_file(pid: int) -> Path | None:
    """Return the file that a process prints to; None if that is no file, or cannot be read."""
    try:
        path = (_PROC / str(pid) / "fd" / "1").readlink()
    except OSError:
        return None
    return path if path.is_file() else None


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
