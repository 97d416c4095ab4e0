"""Decides whether a task can end before the block that would run it. No I/O.

A task is expected to last for its walltime; without a walltime, for as long as nearly all tasks of its function lasted
so far. Recorded durations are no promise: in a fresh block a task is tried whatever its function lasted before.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from typing import TYPE_CHECKING

from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId, TaskId
    from cnflow.wire.messages import ResultParcel, Task

_MAX_DURATIONS = 64
"""Durations that are kept of each function."""

_MIN_DURATIONS = 5
"""Durations below which nothing is concluded."""

_QUANTILE = 0.9
_FRESH = 0.9
"""Fraction of a block's life that is left while the block is fresh."""


class Durations:
    """Durations of the latest tasks of one function."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """Record the duration of a task."""
        self._latest.append(seconds)
        bisect.insort(self._sorted, seconds)
        if len(self._latest) > _MAX_DURATIONS:
            del self._sorted[bisect.bisect_left(self._sorted, self._latest.popleft())]

    @property
    def quantile(self) -> float:
        """Seconds within which nine of ten tasks ended; 0 before five durations were recorded."""
        known = self._sorted
        return known[int(_QUANTILE * (len(known) - 1))] if len(known) >= _MIN_DURATIONS else 0.0


class DeadlineFilter:
    """Lives of the blocks and durations of the functions so far.

    Attributes:
        has_deadlines: some block that ever registered has an end.
    """

    def __init__(self) -> None:
        self._functions: dict[FunctionId, Durations] = {}
        self._longest_life = 0.0
        self.has_deadlines = False

    def on_registered(self, life: float) -> None:
        """A manager registered whose block lives for *life* seconds from now; infinite if it has no end."""
        self._longest_life = max(self._longest_life, life)
        self.has_deadlines = self.has_deadlines or math.isfinite(life)

    def record_durations(self, timed: dict[TaskId, FunctionId], results: Iterable[ResultParcel]) -> None:
        """Record durations of *results* whose functions are in *timed*, and remove their tasks from it."""
        for result, _ in results:
            function = timed.pop(result.id, None)
            if function is not None and result.kind == ResultKind.VALUE:
                self._functions.setdefault(function, Durations()).add(result.seconds)

    def is_in_time(self, task: Task, left: float, life: float) -> bool:
        """True if *task* can end in a block that has *left* of its *life* seconds left."""
        if task.walltime:
            return task.walltime <= left
        durations = self._functions.get(task.function)
        return durations is None or min(durations.quantile, _FRESH * life) <= left

    def is_too_long(self, task: Task) -> bool:
        """True if the walltime of *task* exceeds the life of every block so far; blocks of one executor are alike."""
        return task.walltime > self._longest_life > 0.0
