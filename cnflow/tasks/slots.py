"""How many workers fit a node; pure."""

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
    """Workers for a node of *cores* and *memory* bytes; at least one, so that a small node is of use."""
    fits = int(cores / cores_per_worker)
    if mem_per_worker is not None:
        fits = min(fits, int(memory / (mem_per_worker * GIB)))
    if max_workers is not None:
        fits = min(fits, max_workers)
    return max(1, fits)
