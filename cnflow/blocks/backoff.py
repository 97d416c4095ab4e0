"""Earliest time of the next submission: after failures with growing delays, never too many at once. No I/O.

::

    on_submit ──> on_accepted ──> on_connected      good: no delay, several blocks at a time
        │              │              └──> on_early_death   good, but slower if there are many
        │              └─────> on_failed            bad: delay 0.5 s, 1 s, 2 s ... 60 s, one block at a time
        └────────────────────> on_busy              neither: delays of their own, 0.5 s ... 60 s

    3 bad blocks in a row before the first good one, or 8 after it: `is_hopeless`
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.model.traits import Traits
from cnflow.units import Seconds

if TYPE_CHECKING:
    import random

FIRST_DELAY = Seconds(0.5)
LONGEST_DELAY = Seconds(60.0)

EARLY = Seconds(30.0)
"""A block that ends within this time after it connected is an early death."""

LONGEST_EARLY_DELAY = Seconds(5.0)

WINDOW = 10
"""Last outcomes that count for the failure rate."""

PROBING_RATE = 0.5
"""Failure rate, over at least `_FEWEST` outcomes, from which one block at a time is tried."""

_FEWEST = 4

LIMIT_BEFORE_USE = 3
LIMIT_AFTER_USE = 8
"""Bad blocks in a row that end the executor; with all delays this is more than a minute of trying."""


class Backoff:
    """Failures of one provider.

    Args:
        chance: spreads the delays, so that drivers that failed together do not retry together.
        traits: hold the rate at which the provider takes submissions.
    """

    def __init__(self, chance: random.Random, traits: Traits | None = None) -> None:
        traits = traits or Traits()
        self._chance = chance
        self._at_once = float(traits.submit_at_once)
        self._per_second = traits.submits_per_second
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._failures_in_row = 0
        self._busy_in_row = 0
        self._unused_in_row = 0
        self._was_used = False
        self._has_succeeded = False
        self._not_before = Seconds(0.0)
        self._tokens = self._at_once
        self._refilled_at = Seconds(0.0)

    @property
    def failures_in_row(self) -> int:
        """Bad blocks since the last good one."""
        return max(self._failures_in_row, self._unused_in_row)

    @property
    def failure_rate(self) -> float:
        """Share of bad blocks in the last outcomes; 0 while there are too few."""
        if len(self._outcomes) < _FEWEST:
            return 0.0
        return self._outcomes.count(False) / len(self._outcomes)

    @property
    def is_probing(self) -> bool:
        """True if at most one untried block may be out at a time."""
        return self._failures_in_row > 0 or self.failure_rate >= PROBING_RATE

    @property
    def is_hopeless(self) -> bool:
        """True if another block is not worth a try."""
        limit = LIMIT_AFTER_USE if self._has_succeeded else LIMIT_BEFORE_USE
        limit_of_unused = LIMIT_AFTER_USE if self._was_used else LIMIT_BEFORE_USE
        return self._failures_in_row >= limit or self._unused_in_row >= limit_of_unused

    @property
    def has_succeeded(self) -> bool:
        """True once any block was good."""
        return self._has_succeeded

    @property
    def not_before(self) -> Seconds:
        """Time before which no block is submitted because of failures."""
        return self._not_before

    def earliest_start(self, now: Seconds) -> Seconds:
        """Return the earliest time, from *now* on, for the next submission."""
        self._refill(now)
        room = now if self._tokens >= 1 else Seconds(now + (1 - self._tokens) / self._per_second)
        return max(room, self._not_before)

    def on_submit(self, now: Seconds) -> None:
        """Count a block that is submitted."""
        self._refill(now)
        self._tokens -= 1

    def on_accepted(self) -> None:
        """Count a block that the provider accepted."""
        self._busy_in_row = 0

    def on_connected(self) -> None:
        """Count a good block: its first manager connected."""
        self._outcomes.append(True)
        self._failures_in_row = 0
        self._has_succeeded = True
        self._not_before = Seconds(0.0)

    def on_failed(self, now: Seconds) -> None:
        """Count a bad block: it was refused, or ended before a manager connected."""
        self._outcomes.append(False)
        self._failures_in_row += 1
        self._delay(_exponential(self._failures_in_row), now)

    def on_unused(self, now: Seconds) -> None:
        """Count a block that connected and ended without having run a task, though tasks waited."""
        self._outcomes.append(False)
        self._unused_in_row += 1
        self._delay(_exponential(self._unused_in_row), now)

    def on_used(self) -> None:
        """Count a block that was seen with a task."""
        self._unused_in_row, self._was_used = 0, True

    def on_early_death(self, now: Seconds) -> None:
        """Count a good block that ended soon after."""
        self._outcomes.append(False)
        bad = self._outcomes.count(False)
        if bad > 1:  # a single one may have any cause, and is replaced at once
            self._delay(min(LONGEST_EARLY_DELAY, Seconds(FIRST_DELAY * bad)), now)

    def on_busy(self, now: Seconds) -> None:
        """Count a provider without room, or without an answer; nothing is wrong with its blocks."""
        self._busy_in_row += 1
        self._delay(_exponential(self._busy_in_row), now)

    def _delay(self, delay: Seconds, now: Seconds) -> None:
        self._not_before = Seconds(now + delay * self._chance.uniform(0.5, 1.0))

    def _refill(self, now: Seconds) -> None:
        self._tokens = min(self._at_once, self._tokens + (now - self._refilled_at) * self._per_second)
        self._refilled_at = now


def _exponential(times: int) -> Seconds:
    return Seconds(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(times - 1, 10)))
