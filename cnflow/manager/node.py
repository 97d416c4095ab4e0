"""What this node has for workers: what its provider says, else all that the process may use."""

from __future__ import annotations

import os

from cnflow.manager.variables import cores_given, memory_given


def cores() -> float:
    """Of this node."""
    return cores_given(os.environ) or len(os.sched_getaffinity(0))


def memory() -> float:
    """Bytes, of this node."""
    return memory_given(os.environ) or float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
