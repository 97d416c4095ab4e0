"""Detects that the kernel killed a process because memory ran out (OOM), from the counter of its control group."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

_MEBIBYTE = 2**20
_NO_LIMIT = 2**60
"""Bytes; control groups of version 1 without a limit show a number above this."""


class OomWatch:
    """Counts the processes of this process's control group that the kernel killed to free memory.

    Args:
        root: of the file system; a test passes its own.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._counter, self._limit = _find_files(root)
        self._seen = self._count()

    def take_cause(self) -> str:
        """Return the explanation for a process of the group that was killed; empty if the counter did not rise.

        Each kill explains one process. The counter holds no process id: if a command of a task was killed before, its
        kill is taken for that of the process in question.
        """
        if self._count() <= self._seen:
            return ""
        self._seen += 1
        limit = _read_number(self._limit) if self._limit else None
        if limit is None or limit > _NO_LIMIT:
            return "out of memory (OOM): the kernel killed it, since the machine had none left"
        return f"out of memory (OOM): the kernel killed it, since its block may use {limit / _MEBIBYTE:.0f} MiB"

    def _count(self) -> int:
        try:
            lines = self._counter.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _find_files(root: Path) -> tuple[Path, Optional[Path]]:
    """Return the file with the line ``oom_kill`` and the one with the limit, of this process's control group.

    In a container the folder of the group is the root of the mount, under any path outside.
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


def _read_number(file: Path) -> Optional[int]:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # ValueError: the file holds "max"
        return None
