"""Managers in the order in which their blocks end. No I/O.

The managers that have time for a task are found by bisection, however many have none::

    by_end:    ... 17:02  17:05 │ 17:40  18:00  never     the task would end at 17:20: those behind the bar have time
    by_fresh:  ... 09:10  09:30 │ 09:55                   it is 09:40: those behind the bar are fresh (`deadlines`)
"""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING

from cnflow.interchange.scheduler.deadlines import FRESH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.ids import ManagerId

_Entry = tuple[float, "ManagerId"]


class EndOrder:
    """Managers, sorted by the end of their blocks, and by the moment when these are no longer fresh."""

    def __init__(self) -> None:
        self._by_end: list[_Entry] = []
        self._by_fresh: list[_Entry] = []
        self._moments: dict[ManagerId, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._moments)

    def __contains__(self, manager: ManagerId) -> bool:
        return manager in self._moments

    def __iter__(self) -> Iterator[ManagerId]:
        return iter(self._moments)

    @property
    def last_end(self) -> float:
        """Moment at which the last block ends; there is one."""
        return self._by_end[-1][0]

    def add(self, manager: ManagerId, ends_at: float, life: float) -> None:
        """Add *manager*, whose block has *life* seconds in all and ends at *ends_at*; it is not here."""
        fresh_until = ends_at - FRESH * life if life < math.inf else math.inf
        self._moments[manager] = ends_at, fresh_until
        bisect.insort(self._by_end, (ends_at, manager))
        if fresh_until < math.inf:
            bisect.insort(self._by_fresh, (fresh_until, manager))

    def discard(self, manager: ManagerId) -> None:
        """Remove *manager*; does nothing if it is not here."""
        moments = self._moments.pop(manager, None)
        if moments is None:
            return
        ends_at, fresh_until = moments
        del self._by_end[bisect.bisect_left(self._by_end, (ends_at, manager))]
        if fresh_until < math.inf:
            del self._by_fresh[bisect.bisect_left(self._by_fresh, (fresh_until, manager))]

    def clear(self) -> None:
        """Remove all managers."""
        self._by_end.clear()
        self._by_fresh.clear()
        self._moments.clear()

    def in_time(self, seconds: float, now: float, *, has_walltime: bool) -> Iterator[ManagerId]:
        """Managers that have *seconds* left, those with the least time first.

        A duration without a walltime is an estimate: then managers of fresh blocks follow, the freshest first.
        """
        entries = self._by_end
        # Half of the rounding error of a sum must exclude nobody: the caller compares the time that is left exactly.
        at = bisect.bisect_left(entries, (now + seconds * (1 - 1e-12) - 1e-9,))
        for index in range(at, len(entries)):
            yield entries[index][1]
        if not has_walltime:
            fresh = self._by_fresh
            for index in range(len(fresh) - 1, bisect.bisect_left(fresh, (now - 1e-9,)) - 1, -1):
                yield fresh[index][1]
