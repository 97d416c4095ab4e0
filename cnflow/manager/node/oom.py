"""Detects that the kernel killed a process because memory ran out (OOM), from the counter of its control group."""

from __future__ import annotations

from pathlib import Path

from cnflow.tasks.control_groups import memory_limit, oom_counter

_MEBIBYTE = 2**20


class OomWatch:
    """Counts the processes of this process's control group that the kernel killed to free memory.

    Args:
        root: of the file system; a test passes its own.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._counter = oom_counter(root)
        self._seen = self._count()

    def take_cause(self) -> str:
        """Return the explanation for a process of the group that was killed; empty if the counter did not rise.

        Each kill explains one process. The counter holds no process id: if a command of a task was killed before, its
        kill is taken for that of the process in question.
        """
        if self._count() <= self._seen:
            return ""
        self._seen += 1
        limit = memory_limit(self._root)
        if limit is None:
            return "out of memory (OOM): the kernel killed it, since the machine had none left"
        most = f"{limit / _MEBIBYTE:.0f} MiB"
        return f"out of memory (OOM): the kernel killed it, since its block may use {most}; set a larger memory="

    def _count(self) -> int:
        try:
            lines = self._counter.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
