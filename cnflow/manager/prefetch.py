"""How many workers fit a node, and how much work to hold in advance; pure."""

from __future__ import annotations

from typing import Optional

_BACKLOG = 0.02
"""Seconds of work that a manager holds in advance: hides the way to the interchange and back many times over."""

_PIPE_BACKLOG = 0.0005
"""Seconds of work that a worker holds in advance: hides the way to its manager and back."""

_MOST_AHEAD = 256
"""Tasks per slot that are ever held in advance; more gains nothing measurable and is lost with the node."""

_MOST_IN_PIPE = 32


class Prefetch:
    """Learns how long tasks take, and says how many to hold in advance: many while short, none when long."""

    def __init__(self, prefetch: Optional[int]) -> None:
        self._fixed = prefetch
        self._mean: Optional[float] = None

    def ran(self, seconds: float) -> None:
        """A task took *seconds*. A longer one counts at once, a shorter one little by little."""
        mean = self._mean
        if mean is None:
            self._mean = seconds
        else:
            self._mean = mean + (seconds - mean) * (0.5 if seconds > mean else 0.05)

    def ahead(self, slots: int) -> int:
        """Tasks to hold beyond those that run, for the whole node."""
        if self._fixed is not None:
            return self._fixed
        return slots * self._within(_BACKLOG, _MOST_AHEAD)

    def in_pipe(self) -> int:
        """Tasks that one worker may have, the running one included."""
        if self._fixed == 0:
            return 1
        return 1 + self._within(_PIPE_BACKLOG, _MOST_IN_PIPE)

    def _within(self, backlog: float, most: int) -> int:
        if self._mean is None or self._mean > backlog:
            return 0
        return min(most, int(backlog / max(self._mean, 1e-6)))
