"""Measures what is in use on the node, or in the container or job that is one for this manager.

::

    memory   a control group with a limit on the way up from ours ──> what it uses
             none ──> MemTotal - MemAvailable of the machine
    cpu      a control group with a quota ──> its time, of its quota
             none ──> time of the cores that this process may use, in /proc/stat
    storage  the group that has a limit ──> its blocks; none ──> the machine's disks

The page cache is not counted as memory in use: the kernel frees it as soon as a task needs it.
https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html, .../cgroup-v1/blkio-controller.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.tasks.control_groups import core_quota, memory_folder, quota_folder

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_SECTOR = 512
_IDLE = (3, 4)
"""Columns of /proc/stat: idle, and waiting for storage."""


class NodeState(NamedTuple):
    """Counters and memory at one moment; below 0 what is not known."""

    cpu: float
    """Seconds in use since some start."""

    memory: int
    read: int
    """Bytes since some start, as `written`."""

    written: int


class NodeMeter:
    """Reads the counters of the node.

    Args:
        root: of the file system; a test passes its own.

    Attributes:
        cores: that the counter `NodeState.cpu` is of.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        quota = core_quota(root)
        self._cpus = frozenset(os.sched_getaffinity(0))
        self.cores = float(len(self._cpus)) if quota is None else quota
        self._cpu_group = quota_folder(root)
        self._memory_group = memory_folder(root)

    def read(self) -> NodeState:
        """Return the present state."""
        return NodeState(self._cpu(), self._memory(), *self._storage())

    def _cpu(self) -> float:
        if self._cpu_group is not None:
            used = _number(_words(self._cpu_group / "cpu.stat"), "usage_usec")
            if used >= 0:
                return used / 1e6
            nanoseconds = _text(self._first_folder(self._cpu_group, "cpuacct") / "cpuacct.usage").strip()
            if nanoseconds.isdecimal():
                return int(nanoseconds) / 1e9
        return self._cpu_of_machine()

    def _cpu_of_machine(self) -> float:
        used, found = 0.0, False
        for line in _text(self._root / "proc/stat").splitlines():
            name, *columns = line.split()
            if name[:3] == "cpu" and name[3:].isdecimal() and int(name[3:]) in self._cpus:
                found = True
                used += sum(int(each) for number, each in enumerate(columns[:8]) if number not in _IDLE)
        return used * _TICK if found else -1.0

    def _memory(self) -> int:
        group = self._memory_group
        if group is not None:
            inside = _words(group / "memory.stat")
            for name, cache in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "total_inactive_file")):
                used = _text(group / name).strip()
                if used.isdecimal():
                    return max(0, int(used) - max(0, _number(inside, cache)))
        words = _words(self._root / "proc/meminfo")
        total, available = _number(words, "MemTotal:"), _number(words, "MemAvailable:")
        return (total - available) * 1024 if total >= 0 and available >= 0 else -1

    def _storage(self) -> tuple[int, int]:
        group = self._memory_group or self._cpu_group
        if group is not None:
            found = _second_storage(_text(group / "io.stat")) or self._first_storage(group)
            if found is not None:
                return found
        return _disks(_text(self._root / "proc/diskstats").splitlines())

    def _first_folder(self, group: Path, controller: str) -> Path:
        """Folder of *controller* for *group*, that of another controller, in version 1."""
        base = self._root / "sys/fs/cgroup"
        return base / controller / Path(*group.relative_to(base).parts[1:])

    def _first_storage(self, group: Path) -> Optional[tuple[int, int]]:
        text = _text(self._first_folder(group, "blkio") / "blkio.throttle.io_service_bytes")
        rows = [line.split() for line in text.splitlines()]
        sums = {"Read": 0, "Write": 0}
        for row in rows:
            if len(row) == 3 and row[1] in sums:  # noqa: PLR2004 - "8:0 Read 4096"
                sums[row[1]] += int(row[2])
        return (sums["Read"], sums["Write"]) if text else None


def _second_storage(text: str) -> Optional[tuple[int, int]]:
    """Sum over the devices of ``io.stat``, such as ``8:0 rbytes=90112 wbytes=0 rios=4 ...``; None without a file."""
    if not text:
        return None
    sums = {"rbytes": 0, "wbytes": 0}
    for word in text.split():
        name, _, value = word.partition("=")
        if name in sums and value.isdecimal():
            sums[name] += int(value)
    return sums["rbytes"], sums["wbytes"]


def _disks(lines: Iterable[str]) -> tuple[int, int]:
    """Bytes read and written by whole disks: https://docs.kernel.org/admin-guide/iostats.html."""
    rows = [line.split() for line in lines]
    disks = [row for row in rows if len(row) > 9 and not _is_part(row[2], [other[2] for other in rows])]  # noqa: PLR2004
    if not disks:
        return -1, -1
    return sum(int(row[5]) for row in disks) * _SECTOR, sum(int(row[9]) for row in disks) * _SECTOR


def _is_part(name: str, names: list[str]) -> bool:
    """True for a partition, and for a device that lies on others: their bytes are counted there."""
    if name.startswith(("loop", "dm-", "md", "ram", "zram")):
        return True
    whole = name.rstrip("0123456789")
    return whole != name and (whole in names or (whole.endswith("p") and whole[:-1] in names))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _words(file: Path) -> dict[str, str]:
    """Second word of each line by its first."""
    rows = (line.split() for line in _text(file).splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}


def _number(words: dict[str, str], name: str) -> int:
    text = words.get(name, "")
    return int(text) if text.isdecimal() else -1
