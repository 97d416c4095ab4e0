"""Blocks that are to be cancelled at the provider, until it confirms their end. No I/O.

::

    add ──> wanted ── take_batch ──> asked ── on_cancelled ──> confirmed: forgotten
              ▲                                    └── not confirmed, or no answer: again after a pause ──┐
              └───────────────────────────────────────────────────────────────────────────────────────────┘

One call at a time: what is added while a call is out goes with the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.ids import NativeId


class Removals:
    """Native ids of blocks whose removal is not confirmed.

    Args:
        pause: seconds until a block whose end was not confirmed is cancelled again.
    """

    def __init__(self, pause: Seconds) -> None:
        self.pause = pause
        self._wanted: dict[NativeId, Seconds] = {}
        """Earliest time of the next attempt, by block."""

        self._asked: frozenset[NativeId] = frozenset()
        self.reasons: dict[NativeId, str] = {}
        """Words of the provider about blocks whose end it did not confirm."""

    @property
    def natives(self) -> set[NativeId]:
        """All blocks whose end is not confirmed. Safe from any thread."""
        return {*list(self._wanted), *self._asked}

    @property
    def is_asking(self) -> bool:
        """True while a call is out."""
        return bool(self._asked)

    @property
    def next_at(self) -> Seconds | None:
        """Earliest time of the next call; None if only an event can lead to one."""
        return min(self._wanted.values(), default=None) if not self._asked else None

    def add(self, natives: Collection[NativeId], now: Seconds) -> None:
        """Cancel these blocks as soon as may be."""
        self._wanted.update((native, now) for native in natives if native not in self._asked)

    def take_batch(self, now: Seconds) -> frozenset[NativeId]:
        """Return the blocks to cancel in one call now; `on_cancelled` must follow for them."""
        if self._asked or not self._wanted:
            return frozenset()
        due = [native for native, at in self._wanted.items() if at <= now]
        self._asked = frozenset(due)
        for native in due:
            del self._wanted[native]
        return self._asked

    def on_cancelled(self, unconfirmed: Mapping[NativeId, str], now: Seconds) -> dict[NativeId, str]:
        """Follow the answer to the last batch; return those of it whose end was not confirmed, with reasons."""
        left = {native: str(unconfirmed[native]) for native in self._asked if native in unconfirmed}
        self._asked = frozenset()
        self._wanted.update(dict.fromkeys(left, Seconds(now + self.pause)))
        self.reasons = left
        return left
