"""Predicts handwritten digits with a model of ``digits_train.train``. Needs NumPy, not scikit-learn."""

from __future__ import annotations

import numpy as np


def predict(model: dict, rows: list[list[int]]) -> list[int]:
    """Return the digit that each row (64 pixels) most likely shows; *rows* may be empty."""
    values = np.asarray(rows, dtype=float).reshape(-1, len(model["weights"][0]))
    *hidden, last = zip(model["weights"], model["biases"], strict=True)  # one pair per layer
    for weights, biases in hidden:
        values = np.maximum(values @ np.asarray(weights) + biases, 0)
    scores = values @ np.asarray(last[0]) + last[1]
    return [model["classes"][best] for best in scores.argmax(axis=1)]
