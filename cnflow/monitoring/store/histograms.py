"""Estimates quantiles of values that were counted in buckets. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.model.model_events import ABOVE_ALL

if TYPE_CHECKING:
    from collections.abc import Iterable


def quantile(buckets: Iterable[tuple[float, int]], share: float) -> float | None:
    """Return the value below which *share* of all values are; None if there are none.

    Within a bucket values are taken to lie evenly, as ``histogram_quantile`` of Prometheus does. A bucket that was left
    out for being empty makes its neighbour begin too early: the estimate is too low by at most that bucket.

    Args:
        buckets: upper end and count of each, in any order.
        share: 0 to 1.
    """
    found = sorted((upper, count) for upper, count in buckets if count > 0)
    whole = sum(count for _, count in found)
    if not whole:
        return None
    wanted, below, lower = share * whole, 0, 0.0
    for upper, count in found:
        if below + count >= wanted:
            if upper >= ABOVE_ALL:
                return lower  # the largest bound that is known
            return lower + (upper - lower) * max(0.0, wanted - below) / count
        below, lower = below + count, upper
    return lower
