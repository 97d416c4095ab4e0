"""Decides whether a task can end before the block that would run it. No I/O.

A task is expected to last for its walltime; without a walltime, for as long as nearly all tasks of its function lasted
so far. Recorded durations are no promise: in a fresh block a task is tried whatever its function lasted before.

A block has less time than its life: its workers have to start first. What blocks had left once their first workers
were ready is recorded. A walltime beyond the most that any of them had is too long, from the third block on: until then
a block may just have been slow to start.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from typing import TYPE_CHECKING, Union

from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId, FunctionId, TaskId
    from cnflow.wire.messages import ResultParcel, Task

_MAX_DURATIONS = 64
"""Durations that are kept of each function."""

_MIN_DURATIONS = 5
"""Durations below which nothing is concluded."""

_MAX_FUNCTIONS = 1024
"""Functions whose durations are kept: those that ended last."""

_MIN_BLOCKS = 3
"""Blocks of which the start of the workers must have been seen before it shortens the time for a task."""

_QUANTILE = 0.9
FRESH = 0.9
"""Fraction of a block's life that is left while the block is fresh."""

_CLASSES = 16
"""Walltimes of one class differ by less than one of this many parts of a power of two."""

DurationKey = Union[float, "FunctionId", None]
"""Class of a walltime; function of known duration; or None for a task of which nothing is known."""


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
        longest: most seconds that a task had in a block so far; 0 before the first block.
    """

    def __init__(self) -> None:
        self._functions: dict[FunctionId, Durations] = {}
        """Durations by function; the function whose task ended last comes last."""

        self._longest_life = 0.0
        self._longest_left = 0.0
        self._ready_blocks: set[BlockId] = set()
        """Up to three blocks whose workers were ready."""

        self.has_deadlines = False
        self.longest = 0.0
        self.may_judge = True
        """False after a restart, before all managers are back: no task is too long then."""

    def on_registered(self, life: float) -> None:
        """A manager registered whose block lives for *life* seconds from now; infinite if it has no end."""
        self._longest_life = max(self._longest_life, life)
        self.has_deadlines = self.has_deadlines or math.isfinite(life)
        self._measure()

    def on_ready(self, block: BlockId, left: float) -> None:
        """The first workers of a manager of *block* are ready, and it has *left* seconds left."""
        self._longest_left = max(self._longest_left, left)
        if len(self._ready_blocks) < _MIN_BLOCKS:
            self._ready_blocks.add(block)
        self._measure()

    def judge(self) -> None:
        """Begin to fail tasks that no block has time for."""
        self.may_judge = True
        self._measure()

    def _measure(self) -> None:
        if not self.may_judge:
            return
        is_measured = len(self._ready_blocks) >= _MIN_BLOCKS
        self.longest = self._longest_left if is_measured else self._longest_life

    def record_durations(self, timed: dict[TaskId, FunctionId], results: Iterable[ResultParcel]) -> None:
        """Record durations of *results* whose functions are in *timed*, and remove their tasks from it."""
        for result, _ in results:
            function = timed.pop(result.id, None)
            if function is not None and result.kind == ResultKind.VALUE:
                durations = self._functions.pop(function, None) or Durations()
                self._functions[function] = durations
                durations.add(result.seconds)
        while len(self._functions) > _MAX_FUNCTIONS:
            del self._functions[next(iter(self._functions))]

    def expected(self, task: Task) -> float:
        """Seconds that *task* is expected to last: its walltime, or what is usual for its function; 0 if unknown."""
        if task.walltime:
            return task.walltime
        durations = self._functions.get(task.function)
        return durations.quantile if durations is not None else 0.0

    def key(self, task: Task) -> DurationKey:
        """Key of tasks that are alike in time: if a block has no time for the first, it has none for the others."""
        if task.walltime:
            mantissa, exponent = math.frexp(task.walltime)
            return math.ldexp(math.ceil(mantissa * _CLASSES), exponent) / _CLASSES
        durations = self._functions.get(task.function)
        return task.function if durations is not None and durations.quantile else None

    def is_in_time(self, task: Task, left: float, life: float) -> bool:
        """True if *task* can end in a block that has *left* of its *life* seconds left."""
        if task.walltime:
            return task.walltime <= left
        durations = self._functions.get(task.function)
        return durations is None or min(durations.quantile, FRESH * life) <= left

    def is_too_long(self, task: Task) -> bool:
        """True if no block so far had time for the walltime of *task*; blocks of one executor are alike."""
        return task.walltime > self.longest > 0.0

    def describe(self, task: Task) -> str:
        """Walltime of *task*, for a message, if it is too long; else nothing."""
        if not self.is_too_long(task):
            return ""
        late = f" (blocks have {self.longest:.0f} s once their workers have started)"
        return f"walltime={task.walltime:g}{late if task.walltime <= self._longest_life else ''}"
