"""Decides how many tasks a manager and its workers hold in advance, and how many it takes in all. No I/O.

Many in advance while tasks are short, so that no worker waits for the network; none while tasks are long, so that no
task waits behind a long one. One in all where each task gets a block of its own.
"""

from __future__ import annotations

from typing import Optional

_BACKLOG = 0.02
"""Seconds of work that a manager holds in advance: many times the round trip to the interchange."""

_PIPE_BACKLOG = 0.0005
"""Seconds of work that a worker holds in advance: longer than the round trip to its manager."""

_MAX_AHEAD = 256
"""Tasks per worker that a manager holds in advance at most; more gains nothing measurable and is lost with the node."""

_MAX_IN_PIPE = 32


class Prefetch:
    """Estimates the length of tasks from those that ended.

    Args:
        prefetch: tasks to hold in advance, as the user set it; None adapts to the length of tasks.
        max_tasks: tasks to take in all; None takes any number.
    """

    def __init__(self, prefetch: Optional[int], max_tasks: Optional[int] = None) -> None:
        self._fixed = prefetch
        self._left = max_tasks
        self._mean: Optional[float] = None

    @property
    def is_exhausted(self) -> bool:
        """True once `max_tasks` were taken."""
        return self._left is not None and self._left <= 0

    def on_taken(self) -> None:
        """Count a task that was taken."""
        if self._left is not None:
            self._left -= 1

    def record(self, seconds: float) -> None:
        """Add the length of a task to the moving average. A longer one weighs 0.5, a shorter one 0.05."""
        mean = self._mean
        if mean is None:
            self._mean = seconds
        else:
            self._mean = mean + (seconds - mean) * (0.5 if seconds > mean else 0.05)

    def tasks_ahead(self, workers: int) -> int:
        """Number of tasks that the node holds besides those that run."""
        if self._fixed is not None:
            return self._fixed
        return workers * self._fitting(_BACKLOG, _MAX_AHEAD)

    def pipe_depth(self) -> int:
        """Number of tasks that one worker may hold, the running one included."""
        if self._fixed == 0:
            return 1
        return 1 + self._fitting(_PIPE_BACKLOG, _MAX_IN_PIPE)

    def batches(self) -> int:
        """Number of batches of calls that it holds for each worker, the running one included."""
        if self._left is not None:
            return 0
        return 1 if self._fixed == 0 else 2

    def _fitting(self, backlog: float, most: int) -> int:
        if self._mean is None or self._mean > backlog:
            return 0
        return min(most, int(backlog / max(self._mean, 1e-6)))
