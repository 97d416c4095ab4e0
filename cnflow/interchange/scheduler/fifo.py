"""Shares plain tasks out among managers, in order of submission. No I/O.

Idle slots of all managers are filled first; managers prefetch tasks only when no slot is idle. The work per call grows
with the tasks that are shared out, not with the managers that are connected.

Calls of models that are not bulk go first, and beyond the windows::

    window of a manager:  | slots, idle first | prefetch |
    for such a call:      | slots, idle first | prefetch | as many again |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.ids import ManagerId

_MAX_MANAGERS = 64
"""Managers among which the tasks of one call are shared; a message to each of 10,000 idle managers would cost more than
the tasks in it."""


class FreeSlots:
    """Number of plain tasks that each manager can take."""

    def __init__(self) -> None:
        self.idle: dict[ManagerId, int] = {}
        """Slots without a task. Managers take turns: the first is next."""

        self.prefetch: dict[ManagerId, int] = {}
        """Tasks that a manager may hold beyond its slots; in turn, too."""

        self.express: dict[ManagerId, int] = {}
        """Calls that go first which a manager may hold beyond its window; empty unless `has_express`."""

        self.has_express = False
        """True once there was such a call; False saves the count."""

    def __bool__(self) -> bool:
        return bool(self.idle or self.prefetch)

    def update(self, manager: ManagerId, slots: int, window: int, held: int) -> None:
        """Recount *manager*, which runs *slots* tasks at a time, wants *window* tasks and holds *held*."""
        idle = min(slots, window) - held
        prefetch = window - max(held, slots)
        _set_count(self.idle, manager, idle)
        _set_count(self.prefetch, manager, prefetch)
        if self.has_express:
            _set_count(self.express, manager, 2 * window - max(held, window))

    def set_idle(self, manager: ManagerId, idle: int) -> None:
        """Let *manager* take *idle* tasks, and prefetch none."""
        _set_count(self.idle, manager, idle)
        self.prefetch.pop(manager, None)
        self.express.pop(manager, None)

    def remove(self, manager: ManagerId) -> None:
        """Let *manager* take no task."""
        self.idle.pop(manager, None)
        self.prefetch.pop(manager, None)
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
    blocks may be given back. Beyond the idle slots, and beyond the windows then, all get about the same: a manager that
    has such a call before a worker is idle has it in its next batch, before bulk.
    """
    counts: dict[ManagerId, int] = {}
    while tasks and slots.idle:
        manager, left = slots.idle.popitem()
        counts[manager] = count = min(tasks, left)
        tasks -= count
        _set_count(slots.idle, manager, left - count)
    for free in (slots.prefetch, slots.express):
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
