"""Shares plain tasks out among managers, in order of submission. No I/O.

Idle slots of all managers are filled first; managers prefetch tasks only when no slot is idle. The work per call grows
with the tasks that are shared out, not with the managers that are connected.

Calls of models are counted apart from other tasks, beside the idle slots, which are there for all (`call_lanes`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.ids import ManagerId

_MAX_MANAGERS = 64
"""Managers among which the tasks of one call are shared; a message to each of 10,000 idle managers would cost more than
the tasks in it."""


class CallCount(NamedTuple):
    """Calls of models of one manager."""

    held: int
    wanted: int
    """Number that it wants to hold besides other tasks; 0 if it had none lately: then as many as other tasks."""


class FreeSlots:
    """Number of plain tasks that each manager can take."""

    def __init__(self) -> None:
        self.idle: dict[ManagerId, int] = {}
        """Slots without a task. Managers take turns: the first is next."""

        self.prefetch: dict[ManagerId, int] = {}
        """Tasks that a manager may hold beyond its slots; in turn, too."""

        self.calls: dict[ManagerId, int] = {}
        """Calls that a manager may hold beyond its idle slots; empty unless `has_calls`."""

        self.express: dict[ManagerId, int] = {}
        """Calls that go first which a manager may hold beyond those."""

        self.has_calls = False
        """True once there was a call; False saves the counts."""

    def __bool__(self) -> bool:
        return bool(self.idle or self.prefetch)

    def update(self, manager: ManagerId, slots: int, window: int, held: int) -> None:
        """Recount *manager*, which runs *slots* tasks at a time, wants *window* tasks and holds *held*, none a call."""
        idle = min(slots, window) - held
        prefetch = window - max(held, slots)
        _set_count(self.idle, manager, idle)
        _set_count(self.prefetch, manager, prefetch)

    def update_with_calls(self, manager: ManagerId, slots: int, window: int, held: int, calls: CallCount) -> None:
        """Recount *manager*, which has *calls* among the tasks that it holds."""
        idle = max(0, min(slots, window) - held)
        wanted = max(window, calls.wanted) if window > 1 else calls.wanted  # else it may be for one task in all
        _set_count(self.idle, manager, idle)
        _set_count(self.prefetch, manager, window - (held - calls.held) - idle)
        _set_count(self.calls, manager, wanted - calls.held - idle)
        _set_count(self.express, manager, 2 * calls.wanted - max(calls.held, calls.wanted))

    def set_idle(self, manager: ManagerId, idle: int) -> None:
        """Let *manager* take *idle* tasks, and prefetch none."""
        _set_count(self.idle, manager, idle)
        self._remove_others(manager)

    def remove(self, manager: ManagerId) -> None:
        """Let *manager* take no task."""
        self.idle.pop(manager, None)
        self._remove_others(manager)

    def _remove_others(self, manager: ManagerId) -> None:
        self.prefetch.pop(manager, None)
        if self.has_calls:
            self.calls.pop(manager, None)
            self.express.pop(manager, None)


def fill_slots(tasks: int, slots: FreeSlots) -> list[tuple[ManagerId, int]]:
    """Share up to *tasks* tasks out among the managers; return the count for each, and subtract it in *slots*."""
    counts: dict[ManagerId, int] = {}
    for free in (slots.idle, slots.prefetch):
        tasks -= _share_out(tasks, free, counts)
    return list(counts.items())


def fill_express(tasks: int, slots: FreeSlots) -> list[tuple[ManagerId, int]]:
    """Share up to *tasks* calls that go first out among the managers; return as `fill_slots` does.

    The manager that has become idle last is filled first, so that with few calls the others stay idle, and their
    blocks may be given back. Beyond the idle slots all get about the same.
    """
    counts: dict[ManagerId, int] = {}
    while tasks and slots.idle:
        manager, left = slots.idle.popitem()
        counts[manager] = count = min(tasks, left)
        tasks -= count
        _set_count(slots.idle, manager, left - count)
    for free in (slots.calls, slots.express):
        tasks -= _share_out(tasks, free, counts)
    return list(counts.items())


def fill_bulk(tasks: int, slots: FreeSlots) -> list[tuple[ManagerId, int]]:
    """Share up to *tasks* bulk calls out among the managers; return as `fill_slots` does."""
    counts: dict[ManagerId, int] = {}
    for free in (slots.idle, slots.calls):
        tasks -= _share_out(tasks, free, counts)
    return list(counts.items())


def _share_out(tasks: int, free: dict[ManagerId, int], counts: dict[ManagerId, int]) -> int:
    """Share up to *tasks* tasks out evenly among managers that are *free*, in turn; return their number."""
    shared = turns = 0
    while shared < tasks and free:
        turns = turns or min(len(free), _MAX_MANAGERS)
        share = -(-(tasks - shared) // turns)
        turns -= 1
        manager = next(iter(free))
        left = free.pop(manager)
        count = min(share, left)
        counts[manager] = counts.get(manager, 0) + count
        shared += count
        _set_count(free, manager, left - count)
    return shared


def _set_count(free: dict[ManagerId, int], manager: ManagerId, count: int) -> None:
    if count > 0:
        free[manager] = count
    else:
        free.pop(manager, None)
