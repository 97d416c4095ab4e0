"""Decides when to start a worker again whose process could not be started: no process, memory or descriptor was left.

::

    on_failed ──> waits 1 s, then 2, 4 ... 30 s ──due──> started again ──on_started──> forgotten
                        └── all workers wait, for the fifth time: `is_hopeless`, and the manager ends

No I/O. The limits pass: another program of the node ends, or the user's tasks do.

A worker that dies before its first task is started again at once, but not for ever::

    on_died ──> 3 in a row before they are ready, or 10 idle ones without a result in between: the manager ends
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import WorkerRank

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_ATTEMPTS = 5
_MOST_UNREADY, _MOST_IDLE = 3, 10
"""Workers in a row that die before they are ready, and before they are given a task; then the node is of no use."""

_NEVER = Seconds(math.inf)


class StartAttempts:
    """Workers without a process; the module has a picture."""

    def __init__(self) -> None:
        self._failures: dict[WorkerRank, int] = {}
        """Number of failed starts in a row, by rank."""

        self._again_at: dict[WorkerRank, Seconds] = {}
        self._died_unready = 0
        self.died_idle = 0
        """Workers that died before their first task since the last result of any."""

    @property
    def next_at(self) -> Seconds:
        """Time of the next attempt; infinite if no worker waits for one."""
        return min(self._again_at.values()) if self._again_at else _NEVER

    def is_hopeless(self, slots: int) -> bool:
        """True if none of *slots* workers could be started, each several times."""
        return len(self._failures) == slots and min(self._failures.values()) >= _ATTEMPTS

    def on_failed(self, rank: WorkerRank, now: Seconds) -> None:
        """Record that the process of *rank* could not be started."""
        failures = self._failures[rank] = self._failures.get(rank, 0) + 1
        pause = min(_FIRST_PAUSE * 2.0 ** (failures - 1), _LONGEST_PAUSE)
        self._again_at[rank] = Seconds(now + pause)

    def on_ready(self, rank: WorkerRank) -> None:
        """Forget the failures of *rank*, which runs."""
        self._died_unready = 0
        self._failures.pop(rank, None)

    def on_died(self, *, is_ready: bool) -> bool:
        """Count a worker that died before its first task; return True if another is not worth a try."""
        self._died_unready += not is_ready
        self.died_idle += 1
        return self._died_unready >= _MOST_UNREADY or self.died_idle >= _MOST_IDLE

    def take_due(self, now: Seconds) -> list[WorkerRank]:
        """Remove and return the ranks to start now."""
        due = [rank for rank, at in self._again_at.items() if at <= now]
        for rank in due:
            del self._again_at[rank]
        return due
