"""Estimates how long a batch of a model takes from those that ended: ``fixed + rows * per_row``. No I/O.

::

    record(rows, seconds) ──> weighted least squares, in which a batch weighs 5 % less with each that follows
                                  │
    most_rows(budget) <───────────┴── never more than twice what has been seen: a large batch is approached in steps
"""

from __future__ import annotations

_DECAY = 0.95
_MOST_SURPRISE = 4.0
"""A batch counts as no longer than so many times the estimate: a pause of the machine is no property of the model."""

_TRUSTED_FROM = 5
"""Batches after which the estimate bounds surprises."""

_DEVIATION_SHARE = 0.1
_DEVIATIONS = 2.0
_LEAST_VARIANCE = 1e-3
_WORTH_DIVIDING = 0.8


class CostModel:
    """Estimate for one model; see the module."""

    def __init__(self) -> None:
        self.largest = 0
        """Rows of the largest batch so far."""

        self._count = 0
        self._deviation = 0.0
        self._weight = self._rows = self._seconds = self._rows_rows = self._rows_seconds = 0.0

    @property
    def is_known(self) -> bool:
        """True once a batch has ended."""
        return self._count > 0

    def record(self, rows: int, seconds: float) -> None:
        """Add a batch of *rows* that took *seconds*."""
        if self._count >= _TRUSTED_FROM:
            expected = self.seconds(rows)
            seconds = min(seconds, max(expected * _MOST_SURPRISE, 1e-4))
            self._deviation += (abs(seconds - expected) - self._deviation) * _DEVIATION_SHARE
        self._count += 1
        self.largest = max(self.largest, rows)
        self._weight = self._weight * _DECAY + 1.0
        self._rows = self._rows * _DECAY + rows
        self._seconds = self._seconds * _DECAY + seconds
        self._rows_rows = self._rows_rows * _DECAY + rows * rows
        self._rows_seconds = self._rows_seconds * _DECAY + rows * seconds

    def seconds(self, rows: int) -> float:
        """Expected duration of a batch of *rows*; 0 while nothing is known."""
        fixed, per_row = self._line()
        return fixed + per_row * rows

    def most_rows(self, budget: float) -> int:
        """Most rows, 1 at the least, whose batch should end within *budget* seconds even if it takes a bit longer."""
        if not self.is_known:
            return 1
        fixed, per_row = self._line()
        left = max(budget - _DEVIATIONS * self._deviation, budget / 2.0) - fixed
        next_step = 2 * self.largest
        if per_row * next_step <= left:
            return next_step
        return max(1, int(left / per_row)) if left > 0.0 else 1

    def is_worth_dividing(self, rows: int, share: int) -> bool:
        """True if *share* of *rows* takes clearly less time than all of them."""
        return self.is_known and self.seconds(share) < _WORTH_DIVIDING * self.seconds(rows)

    def _line(self) -> tuple[float, float]:
        """Fixed time and time of each row; half and half while batches of one size only were seen."""
        if self._weight == 0.0:
            return 0.0, 0.0
        variance = self._weight * self._rows_rows - self._rows * self._rows
        if variance <= _LEAST_VARIANCE * self._rows * self._rows:
            return self._seconds / self._weight / 2.0, self._seconds / max(self._rows, 1.0) / 2.0
        slope = (self._weight * self._rows_seconds - self._rows * self._seconds) / variance
        per_row = min(max(slope, 0.0), self._seconds / max(self._rows, 1.0))
        return max(0.0, (self._seconds - per_row * self._rows) / self._weight), per_row
