"""Loads scikit-learn's 1,797 handwritten digits and fits models to them. Takes and returns plain lists and numbers."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

BRIGHTEST = 16
"""Pixel value of ink; paper is 0."""


def load() -> tuple[list[list[int]], list[int]]:
    """Return the rows (64 pixels each, 8 x 8, from 0 to `BRIGHTEST`) and for each row the digit that it shows."""
    digits = load_digits()
    return digits.data.astype(int).tolist(), digits.target.tolist()


def train(rows: list[list[int]], labels: list[int]) -> dict:
    """Fit a network of one hidden layer to the rows and labels; the same input results in the same model.

    Returns:
        The argument of ``digits_predict.predict``, JSON-serializable: ``classes``, and for each layer ``weights`` and
        ``biases``, which apply to unscaled rows.
    """
    model = MLPClassifier(hidden_layer_sizes=(64,), alpha=0.1, learning_rate_init=0.005, max_iter=500, random_state=0)
    with threadpool_limits(1):  # a worker has one core
        model.fit(np.asarray(rows) / BRIGHTEST, labels)
    first, *rest = model.coefs_
    return {
        "classes": model.classes_.tolist(),
        "weights": [weights.tolist() for weights in (first / BRIGHTEST, *rest)],
        "biases": [biases.tolist() for biases in model.intercepts_],
    }
