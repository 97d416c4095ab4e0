"""Which tasks can end before the block does that would run them; pure.

A task lasts as long as its walltime says; without one, as long as nearly all of its function's did so far. What is
learned that way is no promise: in a fresh block a task is tried whatever its function took before.
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

_REMEMBERED = 64
"""Durations of each function."""

_ENOUGH = 5
"""Durations from which something is concluded."""

_NEARLY_ALL = 0.9
_FRESH = 0.9
"""Part of a block's life that is left while it counts as fresh."""


class Durations:
    """How long the tasks of one function took."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """One took that long."""
        self._latest.append(seconds)
        bisect.insort(self._sorted, seconds)
        if len(self._latest) > _REMEMBERED:
            del self._sorted[bisect.bisect_left(self._sorted, self._latest.popleft())]

    @property
    def usual(self) -> float:
        """Seconds that nearly all take at most; 0 as long as little is known."""
        known = self._sorted
        return known[int(_NEARLY_ALL * (len(known) - 1))] if len(known) >= _ENOUGH else 0.0


class DeadlineFilter:
    """What is known of blocks' lives and functions' durations."""

    def __init__(self) -> None:
        self._functions: dict[FunctionId, Durations] = {}
        self._longest = 0.0
        self.matters = False
        """Some block that was ever there has an end."""

    def joined(self, life: float) -> None:
        """A manager came whose block has *life* seconds; infinite if it has no end."""
        self._longest = max(self._longest, life)
        self.matters = self.matters or math.isfinite(life)

    def learn(self, began: dict[TaskId, FunctionId], results: Iterable[ResultParcel]) -> None:
        """Tasks ended; *began* has the functions of those that count, and is rid of them."""
        for result, _ in results:
            function = began.pop(result.id, None)
            if function is not None and result.kind == ResultKind.VALUE:
                self._functions.setdefault(function, Durations()).add(result.seconds)

    def fits(self, task: Task, left: float, life: float) -> bool:
        """Whether *task* can end within the *left* seconds of a block that had *life* in all."""
        if task.walltime:
            return task.walltime <= left
        known = self._functions.get(task.function)
        return known is None or min(known.usual, _FRESH * life) <= left

    def is_hopeless(self, task: Task) -> bool:
        """Whether its walltime is longer than any block's life so far; blocks of one executor are alike."""
        return task.walltime > self._longest > 0.0
