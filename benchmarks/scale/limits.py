"""Limits of this process, and what others use."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_WANTED = 65_536


def raise_open_files() -> int:
    """To as many as are wanted, or as this user may have; what was reached. Processes started later have it too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # only root may raise the hard one
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, _WANTED), max(hard, _WANTED)))
        return max(hard, _WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_seconds(pid: int) -> float:
    """Time that all threads of *pid* have spent on a CPU so far (proc(5), schedstat: nanoseconds)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident(pid: int, *, peak: bool = False) -> int:
    """Bytes of memory that *pid* has now, or had at most."""
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
