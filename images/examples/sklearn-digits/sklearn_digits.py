"""Predicts handwritten digits with a pipeline of scikit-learn; ``python -m sklearn_digits`` fits and stores it."""

from __future__ import annotations

import joblib
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

STORED = "/opt/sklearn-digits/pipeline.joblib"
PIXELS = 64

pipeline: Pipeline | None = None


def setup() -> None:
    """Load the pipeline, once in a process."""
    global pipeline  # noqa: PLW0603 - the model of the process
    pipeline = joblib.load(STORED)
    threadpool_limits(1)  # a worker has one core


def predict(rows: list[list[float]]) -> list[int]:
    """Return the digit that each row (64 pixels from 0 to 16) most likely shows.

    Raises:
        ValueError: a row has another number of pixels.
    """
    for row in rows:
        if len(row) != PIXELS:
            message = f"A row has {PIXELS} pixels, and one has {len(row)}."
            raise ValueError(message)
    return pipeline.predict(np.asarray(rows, dtype=float)).tolist()


def teardown() -> None:
    """Let the pipeline go."""
    global pipeline  # noqa: PLW0603 - the model of the process
    pipeline = None


def fit() -> Pipeline:
    """Fit the pipeline to scikit-learn's 1,797 digits; the same in each build."""
    digits = load_digits()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(digits.data, digits.target)


if __name__ == "__main__":
    joblib.dump(fit(), STORED)
