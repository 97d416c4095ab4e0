"""Models that every system serves: networks of two hidden layers on 64 numbers, in NumPy, with weights of a seed.

``light``: microseconds a row, so that what is measured is the system. ``heavy``: reads 40 MB of weights for each call,
so that a batch of 32 rows takes little longer than a few: what batching is for.
"""

from __future__ import annotations

import os
from functools import cache

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a worker has one core, in each system

import numpy as np

WIDTHS = {"light": 32, "heavy": 3072}
INPUTS = 64
CLASSES = 10


@cache
def weights(name: str) -> list[np.ndarray]:
    """Return the layers of the model called *name*."""
    random = np.random.default_rng(0)
    width = WIDTHS[name]
    shapes = [(INPUTS, width), (width, width), (width, CLASSES)]
    return [random.standard_normal(shape, dtype=np.float32) / np.float32(shape[0] ** 0.5) for shape in shapes]


def predict_with(name: str, rows: list[list[float]]) -> list[int]:
    """Return the class of each row."""
    values = np.asarray(rows, dtype=np.float32)
    *hidden, last = weights(name)
    for layer in hidden:
        values = np.maximum(values @ layer, 0)
    classes: list[int] = (values @ last).argmax(axis=1).tolist()
    return classes


def inputs(count: int) -> list[list[float]]:
    """Return *count* rows; the same each time."""
    found: list[list[float]] = np.random.default_rng(1).integers(0, 17, (count, INPUTS)).astype(float).tolist()
    return found
