"""Tells whether a process still runs, and is the same one: ids of processes are used again."""

from __future__ import annotations

from pathlib import Path


def start_of(pid: int) -> str:
    """Return when process *pid* was started, as the kernel counts; empty if there is none, or it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def is_running(pid: int, start: str) -> bool:
    """Return whether the process *pid* that was started at *start* has not ended."""
    return start_of(pid) == start
