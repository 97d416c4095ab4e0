"""Limits that the control groups of this process set: cores, memory, and the files that report kills for memory.

::

    /proc/self/cgroup   4:memory:/job/step        version 1: a line for each controller, a mount for each
                        0::/job/step              version 2: one line, one mount
                                │
                                v
    /sys/fs/cgroup/[controller/]job/step ──> job ──> .      the tightest limit on the way up holds

In a container the folder of the group is the root of the mount, under any path outside.
https://docs.kernel.org/admin-guide/cgroup-v2.html and .../cgroup-v1/memory.html, .../scheduler/sched-bwc.html (6.12).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_LIMIT = 2**60
"""Bytes; memory groups of version 1 without a limit show a number above this."""


def usable_cores(root: Path = Path("/")) -> float:
    """Cores that this process may use: of its cpuset and affinity, and of the time that its groups grant (quota)."""
    cores = float(len(os.sched_getaffinity(0)))
    quota = core_quota(root)
    return cores if quota is None else min(cores, quota)


def usable_memory(root: Path = Path("/")) -> float:
    """Bytes of memory that this process may use: the machine's, or the limit of its groups if that is lower."""
    machine = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    limit = memory_limit(root)
    return machine if limit is None else min(machine, limit)


def core_quota(root: Path = Path("/")) -> Optional[float]:
    """Cores' worth of time that the groups of this process grant; None without a limit."""
    return min((quota for quota, _ in _quotas(root)), default=None)


def memory_limit(root: Path = Path("/")) -> Optional[int]:
    """Bytes of memory that the groups of this process grant; None without a limit."""
    return min((limit for limit, _ in _memory_limits(root)), default=None)


def quota_folder(root: Path = Path("/")) -> Optional[Path]:
    """Folder of the group whose `core_quota` it is; None without a limit."""
    return min(_quotas(root), key=lambda each: each[0], default=(0, None))[1]


def memory_folder(root: Path = Path("/")) -> Optional[Path]:
    """Folder of the group whose `memory_limit` it is; None without a limit."""
    return min(_memory_limits(root), key=lambda each: each[0], default=(0, None))[1]


def _quotas(root: Path) -> Iterator[tuple[float, Path]]:
    ways = (("cpu", "cpu.cfs_quota_us", _first_quota), ("", "cpu.max", _second_quota))
    for controller, name, read in ways:
        for folder in _folders(root, controller, name):
            if (quota := read(folder)) is not None:
                yield quota, folder


def _memory_limits(root: Path) -> Iterator[tuple[int, Path]]:
    for controller, name in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        for folder in _folders(root, controller, name):
            limit = _read_number(folder / name)
            if limit is not None and limit <= _NO_LIMIT:
                yield limit, folder


def oom_counter(root: Path = Path("/")) -> Path:
    """File with a line ``oom_kill N`` for the group of this process; that of the machine where groups have none."""
    for controller, name in (("memory", "memory.oom_control"), ("", "memory.events")):
        for folder in _folders(root, controller, name):
            return folder / name
    return root / "proc/vmstat"


def _folders(root: Path, controller: str, name: str) -> Iterator[Path]:
    """Yield the folders of this process's group and its ancestors that have a file *name*, the group's own first.

    Args:
        root: of the file system.
        controller: of version 1; empty for version 2.
        name: of a file that folders with the controller have.
    """
    for path in _group_paths(root, controller):
        base = root / "sys/fs/cgroup" / controller
        relative = Path(path.lstrip("/"))
        inside = [base / relative, *(base / parent for parent in relative.parents)]
        found = [folder for folder in dict.fromkeys((*inside, base)) if (folder / name).is_file()]
        if found:
            yield from found
            return


def _group_paths(root: Path, controller: str) -> list[str]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    entries = [line.split(":", 2) for line in lines]
    if not controller:
        return [path for number, controllers, path in entries if (number, controllers) == ("0", "")]
    return [path for _, controllers, path in entries if controller in controllers.split(",")]


def _first_quota(folder: Path) -> Optional[float]:
    quota, period = _read_number(folder / "cpu.cfs_quota_us"), _read_number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _second_quota(folder: Path) -> Optional[float]:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # ValueError: "max 100000"
        return None


def _read_number(file: Path) -> Optional[int]:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # ValueError: the file holds "max"
        return None
