"""Counts the workers that calls of models take, by the batches that they make and the latency that is wanted. No I/O.

The driver asks for blocks by it, and the interchange of a pool reports it to its owner::

    unfinished calls of a model: rows / max_batch ──> batches, at the most as many as calls
       │ no latency target, or no batch has ended yet: a worker for each batch
       └ target 0.2 s, batches of 0.05 s ──> four batches one after the other in each worker

So a model with a latency target gets more workers when its queue takes longer than that, and no more for bursts that a
worker answers in time. Which of its workers are not needed is decided by strategies, by blocks that are idle.
"""

from __future__ import annotations

import math
from typing import Hashable, Optional, Protocol

from cnflow.model.batching import BatchLimits

_WEIGHT = 0.2
"""Share of the last batch in the mean duration."""

_MOST_MODELS = 256
"""Models without calls whose duration is remembered."""

_DEFAULT = BatchLimits()


class Limits(Protocol):
    """Those limits of a model's batches that count: see `cnflow.model.batching.BatchLimits`."""

    @property
    def max_batch(self) -> int:
        """Rows of a batch at the most."""

    @property
    def latency_target(self) -> float:
        """Seconds, or 0 for none."""


class _Model:
    """Unfinished calls of one model.

    Attributes:
        calls: number of them.
        rows: in all of them.
        seconds: mean duration of a batch; 0 before one has ended.
    """

    __slots__ = ("calls", "limits", "rows", "seconds")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.calls = self.rows = 0
        self.seconds = 0.0

    def slots(self) -> int:
        """Workers that the calls take."""
        batches = min(self.calls, max(1, math.ceil(self.rows / self.limits.max_batch)))
        target = self.limits.latency_target
        if not target or not self.seconds:
            return batches
        return math.ceil(batches / max(1, math.floor(target / self.seconds + 1e-9)))


class CallDemand:
    """Unfinished calls of all models; the module has a picture."""

    def __init__(self) -> None:
        self._models: dict[Hashable, _Model] = {}
        self._calls = 0

    def __len__(self) -> int:
        """Number of calls."""
        return self._calls

    def add(self, model: Hashable, limits: Optional[Limits], rows: int) -> None:
        """Count a call of *model* with that many *rows*."""
        found = self._models.get(model)
        if found is None:
            found = self._models[model] = _Model(limits or _DEFAULT)
        found.calls += 1
        found.rows += rows
        self._calls += 1

    def remove(self, model: Hashable, rows: int, seconds: float = 0.0) -> None:
        """Count a call no more, whose batch took *seconds*; 0 if it did not run."""
        found = self._models[model]
        found.calls -= 1
        found.rows -= rows
        self._calls -= 1
        if seconds:
            found.seconds += (seconds - found.seconds) * (_WEIGHT if found.seconds else 1.0)
        if not found.calls and len(self._models) > _MOST_MODELS:
            del self._models[model]

    def clear(self) -> None:
        """Count no call."""
        self._models.clear()
        self._calls = 0

    def slots(self) -> int:
        """Workers that the calls take."""
        return sum(model.slots() for model in self._models.values() if model.calls)
