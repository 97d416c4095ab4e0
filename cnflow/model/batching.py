"""Calls of a model that a worker may answer together: limits of the batches, and what each call adds to one. No I/O."""

from __future__ import annotations

from typing import NamedTuple


class BatchLimits(NamedTuple):
    """Limits of the batches of one model, as its app has them; sent along with its function."""

    max_batch: int = 64
    """Rows that one call of ``predict`` gets at the most; a call that has more by itself runs alone."""

    max_wait: float = 0.0
    """Seconds that an idle worker waits for more rows; 0 begins at once with those that are there."""

    latency_target: float = 0.0
    """Seconds within which a call should be answered, its wait included: batches stay so small; 0 for none."""

    accelerators: int = -1
    """Accelerators that its worker sees; below 0 the worker's share."""

    load_timeout: float = 600.0
    """Seconds that a worker has to load it before its first call; 0 for no limit."""


class BatchPart(NamedTuple):
    """What one task adds to a batch."""

    rows: int
    """Number of its rows, 0 or above."""

    apart: str = ""
    """Tasks of other values are never in one batch: shapes, tenants, whatever the user keeps apart."""

    is_bulk: bool = False
    """Others of its model that are not bulk go first."""
