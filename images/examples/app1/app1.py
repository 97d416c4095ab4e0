"""Example app 1: a linear model of one feature. Standard library only."""

from __future__ import annotations

SLOPE = 2.0
INTERCEPT = 1.0


def predict(rows: list[float]) -> list[float]:
    """Return the score ``SLOPE * x + INTERCEPT`` of each row, a number x."""
    return [SLOPE * x + INTERCEPT for x in rows]
