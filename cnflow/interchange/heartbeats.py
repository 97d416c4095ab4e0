"""Finds the managers that were silent for too long, and those that nothing was sent to. No I/O.

A manager is looked at when something may be due for it, not at each tick, and a message of it costs nothing here::

    add ──> due in half a period ──tick──┬── silent for longer than the threshold ──> silent
                  ^                      ├── nothing was sent for half a period ────> quiet: a heartbeat
                  └── due again later ───┴── else: due when one of them would be

Managers that register together would all be sent a heartbeat in the same moment: their turns are spread a little.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import ManagerId
    from cnflow.interchange.manager_record import ManagerRecord

TICKS = 16
"""Ticks in a heartbeat period: each looks at a part of the managers."""

_SPREAD = 32


class HeartbeatSchedule:
    """Moments at which managers are to be looked at.

    Args:
        managers: records of all managers.
        period: a manager is sent a heartbeat if nothing else was sent to it for half of this.
        threshold: a manager that is silent for longer is lost.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord], period: Seconds, threshold: Seconds) -> None:
        self._managers = managers
        self._pause = period / 2  # half, so that the manager's silence never reaches two
        self._threshold = threshold
        self._due: list[tuple[float, int, ManagerId]] = []
        self._turns: dict[ManagerId, int] = {}
        self._count = itertools.count()

    def add(self, manager: ManagerId) -> None:
        """Look after *manager* from now on; it may have been here before."""
        self._turns[manager] = next(self._count)
        self._schedule(manager)

    def remove(self, manager: ManagerId) -> None:
        """Look after *manager* no more."""
        self._turns.pop(manager, None)

    def on_late(self, seconds: float) -> None:
        """Count no silence of the last *seconds*."""
        for record in self._managers.values():
            record.last_received = Seconds(record.last_received + seconds)

    def on_tick(self, now: Seconds, *, has_heard_all: bool) -> tuple[list[ManagerId], list[ManagerId]]:
        """Managers that are silent, unless not all was heard, and those that are to be sent a heartbeat now."""
        silent: list[ManagerId] = []
        quiet: list[ManagerId] = []
        looked_at: list[ManagerId] = []
        while self._due and self._due[0][0] <= now:
            _, turn, manager = heapq.heappop(self._due)
            if self._turns.get(manager) != turn:
                continue
            record = self._managers[manager]
            if has_heard_all and now - record.last_received > self._threshold:
                silent.append(manager)
            elif now - record.last_sent >= self._pause_of(turn):
                record.last_sent = now
                quiet.append(manager)
            looked_at.append(manager)
        for manager in looked_at:
            self._schedule(manager)
        return silent, quiet

    def _pause_of(self, turn: int) -> float:
        return self._pause * (1 - turn % _SPREAD / _SPREAD / 4)

    def _schedule(self, manager: ManagerId) -> None:
        record, turn = self._managers[manager], self._turns[manager]
        due = min(record.last_sent + self._pause_of(turn), record.last_received + self._threshold)
        heapq.heappush(self._due, (due, turn, manager))
