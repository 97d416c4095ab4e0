"""Whether the kernel ended a process for want of memory: it counts such ends, for each control group."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

_MEBIBYTE = 2**20
_NO_LIMIT = 2**60
"""Bytes; the kernel tells no limit as a number like this."""


class OutOfMemory:
    """Counts the processes of one control group that the kernel killed to win memory.

    Args:
        root: of the file system; where a test has its own.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._counter, self._limit = _files(root)
        self._seen = self._count()

    def cause(self) -> str:
        """Why a process of the group was killed just now, in words; empty when it was not for want of memory.

        The kernel does not say whom it killed: a command that a task started, and that was killed before, is taken for
        the process that is asked about.
        """
        if self._count() <= self._seen:
            return ""
        self._seen += 1
        limit = _number(self._limit) if self._limit else None
        if limit is None or limit > _NO_LIMIT:
            return "out of memory (OOM): the kernel killed it, since the machine had none left"
        return f"out of memory (OOM): the kernel killed it, since its block may use {limit / _MEBIBYTE:.0f} MiB"

    def _count(self) -> int:
        try:
            lines = self._counter.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _files(root: Path) -> tuple[Path, Optional[Path]]:
    """Of this process: the file with the line ``oom_kill``, and the one with the limit.

    In a container the group's own folder is the root of the mount, whatever its path is outside.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory and .../cgroup-v1/memory.html (6.12).
    """
    groups = root / "sys/fs/cgroup"
    try:
        entries = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:
        entries = []
    first = [path for _, controllers, path in entries if "memory" in controllers.split(",")]
    second = [path for number, controllers, path in entries if (number, controllers) == ("0", "")]
    for base, counter, limit, paths in (
        (groups / "memory", "memory.oom_control", "memory.limit_in_bytes", first),
        (groups, "memory.events", "memory.max", second),
    ):
        for path in paths:
            for folder in (base / path.lstrip("/"), base):
                if (folder / counter).is_file():
                    return folder / counter, folder / limit
    return root / "proc/vmstat", None


def _number(file: Path) -> Optional[int]:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # ValueError: it says "max"
        return None
