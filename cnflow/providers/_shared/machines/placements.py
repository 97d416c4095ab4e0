"""Placements for the next machine: in the order of the settings, without those that have no room now. No I/O.

::

    offered ──order(now)──> tried in turn ──> on_launched: its failures are forgotten
       ▲                        ├── on_no_room: this type, zone and price is passed over, each time twice as long
       │                        ├── on_quota: this type at this price, in all zones
       └── after its time ──────┘
    on_preempted: moved behind the others for ten minutes, since spare capacity is short there; never left out
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.model.machine import Placement

_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 900.0
_QUOTA_PAUSE = 60.0
_SHORT_OF_SPOT = 600.0

Key = tuple[str, str, bool]


class PassedOver(NamedTuple):
    """A placement that is left alone."""

    until: float
    failures: int
    words: str


class Placements:
    """State of the placements that one provider may use. Not safe from several threads."""

    def __init__(self) -> None:
        self._passed_over: dict[Key, PassedOver] = {}
        self._preempted: dict[Key, float] = {}

    def order(self, offered: Iterable[Placement], now: float) -> list[Placement]:
        """Return those of *offered* that may have room, in the order in which to try them."""
        usable = [each for each in offered if self._obstacle(each, now) is None]
        return sorted(usable, key=lambda each: self._preempted.get(key_of(each), now) > now)  # keeps the order else

    def on_launched(self, placement: Placement) -> None:
        """A machine was started there."""
        self._passed_over.pop(key_of(placement), None)
        self._passed_over.pop(_in_all_zones(placement), None)

    def on_no_room(self, placement: Placement, words: str, now: float) -> None:
        """The cloud has no machine there."""
        self._pass_over(key_of(placement), _FIRST_PAUSE, words, now)

    def on_quota(self, placement: Placement, words: str, now: float) -> None:
        """A limit of the account is reached, which applies in all zones."""
        self._pass_over(_in_all_zones(placement), _QUOTA_PAUSE, words, now)

    def on_preempted(self, placement: Placement, now: float) -> None:
        """A machine there was taken back: others come first for a while."""
        if placement.instance_type:
            self._preempted[key_of(placement)] = now + _SHORT_OF_SPOT

    def reasons(self, offered: Sequence[Placement], now: float) -> str:
        """Return why each of *offered* is passed over, a line for each; empty if none is."""
        lines = []
        for each in offered:
            found = self._obstacle(each, now)
            if found is not None:
                lines.append(f"{each}: {found.words} (tried again in {max(0.0, found.until - now):.0f} s)")
        return "\n".join(lines)

    def _obstacle(self, placement: Placement, now: float) -> PassedOver | None:
        for key in (key_of(placement), _in_all_zones(placement)):
            found = self._passed_over.get(key)
            if found is not None and found.until > now:
                return found
        return None

    def _pass_over(self, key: Key, pause: float, words: str, now: float) -> None:
        before = self._passed_over.get(key)
        failures = 0 if before is None else before.failures
        until = now + min(_LONGEST_PAUSE, pause * 2**failures)
        self._passed_over[key] = PassedOver(until, min(failures + 1, 10), words)


def key_of(placement: Placement) -> Key:
    """Return what makes *placement* the same one: its price may change."""
    return placement.instance_type, placement.zone, placement.is_spot


def _in_all_zones(placement: Placement) -> Key:
    return placement.instance_type, "*", placement.is_spot
