"""Number of workers that fit a node. No I/O."""

from __future__ import annotations

from typing import Optional

from cnflow.units import GIB


def slot_count(
    cores: float,
    memory: float,
    cores_per_worker: float,
    mem_per_worker: Optional[float],
    max_workers: Optional[int],
) -> int:
    """Return the number of workers for a node; at least one, so that a small node can be used.

    Args:
        cores: of the node.
        memory: of the node, in bytes.
        cores_per_worker: cores that each worker counts for.
        mem_per_worker: GiB that each worker counts for; None ignores memory.
        max_workers: upper limit; None for no limit.
    """
    fits = int(cores / cores_per_worker)
    if mem_per_worker is not None:
        fits = min(fits, int(memory / (mem_per_worker * GIB)))
    if max_workers is not None:
        fits = min(fits, max_workers)
    return max(1, fits)
