"""Limit of open files of this process, and resource use of other processes."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

_WANTED = 65_536


def raise_open_files() -> int:
    """Raise the limit of open files as far as wanted or allowed, also for later child processes; return the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # only root may raise the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, _WANTED), max(hard, _WANTED)))
        return max(hard, _WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of *pid* so far (proc(5), schedstat: nanoseconds)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def resident(pid: int, *, peak: bool = False) -> int:
    """Resident memory of *pid* in bytes, now or at its peak."""
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))
