"""How many tasks go to which manager; pure.

Slots that stand idle are filled first, over all managers alike; only then are managers given tasks to hold in advance.
Work per call grows with the tasks given out, not with the managers connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.ids import ManagerId

_MOST_AT_ONCE = 64
"""Managers over which the tasks of one call are spread; a message for each of 10,000 idle ones would cost more than the
tasks in it."""


class FreeSlots:
    """What each manager can still take."""

    def __init__(self) -> None:
        self.idle: dict[ManagerId, int] = {}
        """Slots that no task is meant for; managers in turn, first is next."""

        self.ahead: dict[ManagerId, int] = {}
        """Tasks that may be held beyond that."""

    def update(self, manager: ManagerId, slots: int, window: int, held: int) -> None:
        """*manager* holds *held* tasks, runs *slots* at a time and wants to hold *window*."""
        idle = min(slots, window) - held
        ahead = window - max(held, slots)
        _put(self.idle, manager, idle)
        _put(self.ahead, manager, ahead)

    def put(self, manager: ManagerId, idle: int) -> None:
        """*manager* can take *idle* tasks, and none in advance."""
        _put(self.idle, manager, idle)
        self.ahead.pop(manager, None)

    def forget(self, manager: ManagerId) -> None:
        """*manager* is gone."""
        self.idle.pop(manager, None)
        self.ahead.pop(manager, None)


def match(tasks: int, slots: FreeSlots) -> list[tuple[ManagerId, int]]:
    """Share out up to *tasks* tasks, and book them in *slots*."""
    given: dict[ManagerId, int] = {}
    for room in (slots.idle, slots.ahead):
        turns = 0
        while tasks and room:
            turns = turns or min(len(room), _MOST_AT_ONCE)
            share = -(-tasks // turns)
            turns -= 1
            manager = next(iter(room))
            left = room.pop(manager)
            count = min(share, left)
            given[manager] = given.get(manager, 0) + count
            tasks -= count
            _put(room, manager, left - count)
    return list(given.items())


def _put(room: dict[ManagerId, int], manager: ManagerId, count: int) -> None:
    if count > 0:
        room[manager] = count
    else:
        room.pop(manager, None)
