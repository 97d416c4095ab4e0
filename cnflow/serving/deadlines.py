"""Deadlines of many calls, most of which end long before theirs. No I/O.

Calls are kept in slots of a tenth of a second, so that one which ends leaves nothing behind: a heap would keep each of
a million ended calls until its minute is over.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from cnflow.units import Seconds

T = TypeVar("T")

SLOT = 0.1
"""Seconds of a slot; a deadline is reported at most so much late."""


class Deadlines(Generic[T]):
    """Deadlines of calls of the type *T*, which are compared by identity."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[T, None]] = {}
        self._slot_of: dict[T, int] = {}

    def __len__(self) -> int:
        """Number of calls with a deadline."""
        return len(self._slot_of)

    def all(self) -> list[T]:
        """Calls with a deadline."""
        return list(self._slot_of)

    def set(self, call: T, at: float) -> None:
        """Give *call* the deadline *at*, in place of an earlier one."""
        slot = math.ceil(at / SLOT)
        before = self._slot_of.get(call)
        if before == slot:
            return
        if before is not None:
            self.clear(call)
        self._slot_of[call] = slot
        calls = self._slots.get(slot)
        if calls is None:
            self._slots[slot] = {call: None}
        else:
            calls[call] = None

    def clear(self, call: T) -> None:
        """*call* has no deadline any more."""
        slot = self._slot_of.pop(call, None)
        if slot is None:
            return
        calls = self._slots[slot]
        del calls[call]
        if not calls:
            del self._slots[slot]

    def due(self, now: Seconds) -> list[T]:
        """Calls whose deadline has passed, the earliest first; they have none any more."""
        found: list[T] = []
        for slot in sorted(slot for slot in self._slots if slot * SLOT <= now):
            found += self._slots.pop(slot)
        for call in found:
            del self._slot_of[call]
        return found
