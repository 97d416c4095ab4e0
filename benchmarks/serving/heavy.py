"""The heavy model, as a module that cnflow serves."""

from __future__ import annotations

from benchmarks.serving.model import predict_with, weights


def setup() -> None:
    """Make the weights."""
    weights("heavy")


def predict(rows: list[list[float]]) -> list[int]:
    """Return the class of each row of 64 numbers."""
    return predict_with("heavy", rows)
