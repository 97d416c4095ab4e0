"""Reads from /proc what the processes of each worker use.

::

    /proc/*/stat, all processes ──> those of the worker's session, and all that descend from them
    /proc/PID/status, io, of these alone ──> their sum

The counters of a process include those of the children that it has waited for, so that what has ended counts on. What
left the session (``setsid``) counts while its parent lives.
https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, .../proc_pid_status.5.html, .../proc_pid_io.5.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "disk-sleep",
    "Z": "zombie",
    "T": "stopped",
    "t": "tracing-stop",
    "X": "dead",
    "I": "idle",
}


class Process(NamedTuple):
    """Line of one process in /proc/PID/stat."""

    parent: int
    session: int
    state: str
    user: float
    """Seconds, as `system`, with those of children that ended."""

    system: float
    virtual: int
    resident: int
    core: int


class TreeUse(NamedTuple):
    """Use of a worker with all its processes; counters are since their start, and below 0 what cannot be read."""

    pids: frozenset[int]
    user: float
    system: float
    virtual: int
    resident: int
    read: int
    written: int
    voluntary: int
    involuntary: int
    status: str
    """State and core of the worker's process itself."""

    core: int


class ProcessTable:
    """All processes of the node, at one moment.

    Args:
        root: of the file system; a test passes its own.
    """

    def __init__(self, root: str = "/") -> None:
        self._folder = os.path.join(root, "proc")  # noqa: PTH118 - thousands of paths in each look
        self._processes = dict(self._read())
        self._children: dict[int, list[int]] = {}
        self._sessions: dict[int, list[int]] = {}
        for pid, process in self._processes.items():
            self._children.setdefault(process.parent, []).append(pid)
            self._sessions.setdefault(process.session, []).append(pid)

    def use_of(self, leader: int) -> Optional[TreeUse]:
        """Return the use of the session of *leader*; None if it is gone."""
        first = self._processes.get(leader)
        if first is None:
            return None
        pids = self._members(leader)
        processes = [self._processes[pid] for pid in pids]
        details = [self._details(pid) for pid in pids]
        return TreeUse(
            frozenset(pids),
            sum(process.user for process in processes),
            sum(process.system for process in processes),
            sum(process.virtual for process in processes),
            sum(process.resident for process in processes),
            _sum_of(detail[0] for detail in details),
            _sum_of(detail[1] for detail in details),
            _sum_of(detail[2] for detail in details),
            _sum_of(detail[3] for detail in details),
            _STATES.get(first.state, first.state),
            first.core,
        )

    def _members(self, leader: int) -> set[int]:
        found: set[int] = set()
        ahead = [leader, *self._sessions.get(leader, ())]
        while ahead:
            pid = ahead.pop()
            if pid not in found:
                found.add(pid)
                ahead += self._children.get(pid, ())
        return found

    def _details(self, pid: int) -> tuple[int, int, int, int]:
        """Bytes read and written; voluntary and involuntary switches."""
        moved = _fields(_content(f"{self._folder}/{pid}/io"))
        status = _fields(_content(f"{self._folder}/{pid}/status"))
        return (
            _number(moved, b"read_bytes"),
            _number(moved, b"write_bytes"),
            _number(status, b"voluntary_ctxt_switches"),
            _number(status, b"nonvoluntary_ctxt_switches"),
        )

    def _read(self) -> Iterable[tuple[int, Process]]:
        try:
            entries = os.listdir(self._folder)  # noqa: PTH208 - names, and thousands of them
        except OSError:
            return
        for entry in entries:
            if entry.isdecimal() and (process := parse_stat(_content(f"{self._folder}/{entry}/stat"))) is not None:
                yield int(entry), process


def parse_stat(line: bytes) -> Optional[Process]:
    """Parse the content of /proc/PID/stat; None if the process is gone."""
    fields = line.rpartition(b")")[2].split()  # before it: the name, which may hold spaces and parentheses
    try:
        return Process(
            int(fields[1]),
            int(fields[3]),
            fields[0].decode(),
            (int(fields[11]) + int(fields[13])) * _TICK,
            (int(fields[12]) + int(fields[14])) * _TICK,
            int(fields[20]),
            int(fields[21]) * _PAGE,
            int(fields[36]),
        )
    except (IndexError, ValueError):
        return None


def _content(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:  # it ended, or is another user's
        return b""


def _fields(content: bytes) -> Mapping[bytes, bytes]:
    lines = (line.partition(b":") for line in content.splitlines())
    return {name: value for name, _, value in lines}


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int:
    try:
        return int(fields[name])
    except (KeyError, ValueError):
        return -1


def _sum_of(values: Iterable[int]) -> int:
    known = [value for value in values if value >= 0]
    return sum(known) if known else -1
