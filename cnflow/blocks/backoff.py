"""When the next block may be asked for: after failures ever later, never too many at once; pure.

A block is good once a manager of it connected, and bad if it ended before. One that ended soon after it had connected
is no reason to give up, but one to go slower.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.units import Seconds

if TYPE_CHECKING:
    import random

FIRST_DELAY = Seconds(0.5)
LONGEST_DELAY = Seconds(60.0)

EARLY = Seconds(30.0)
"""A block that ends sooner than this after it connected is an early death."""

LONGEST_EARLY_DELAY = Seconds(5.0)

WINDOW = 10
"""Outcomes that the failure rate is taken over."""

PROBING_RATE = 0.5
"""From this failure rate on, over at least `_FEWEST`, one block at a time is tried."""

_FEWEST = 4

LIMIT_BEFORE_USE = 3
LIMIT_AFTER_USE = 8
"""Bad blocks one after the other that end the executor; with all delays this is a good minute of trying."""

AT_ONCE = 20
"""Blocks that may be asked for in one moment."""

PER_SECOND = 2.0
"""Blocks that may be asked for beyond that."""


class Backoff:
    """The failures of one provider.

    Args:
        chance: spreads the delays, so that drivers that failed together do not come back together.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._outcomes: deque[bool] = deque(maxlen=WINDOW)
        self._in_row = 0
        self._busy_in_row = 0
        self._was_of_use = False
        self._not_before = Seconds(0.0)
        self._tokens = float(AT_ONCE)
        self._counted_at = Seconds(0.0)

    @property
    def in_row(self) -> int:
        """Bad blocks since the last good one."""
        return self._in_row

    @property
    def failure_rate(self) -> float:
        """Of the last outcomes; 0 while there are too few to say."""
        if len(self._outcomes) < _FEWEST:
            return 0.0
        return self._outcomes.count(False) / len(self._outcomes)

    @property
    def is_probing(self) -> bool:
        """Whether no more than one untried block is to be out at a time."""
        return self._in_row > 0 or self.failure_rate >= PROBING_RATE

    @property
    def is_hopeless(self) -> bool:
        """Whether another block would not be better either."""
        return self._in_row >= (LIMIT_AFTER_USE if self._was_of_use else LIMIT_BEFORE_USE)

    @property
    def was_of_use(self) -> bool:
        """Whether any block ever was."""
        return self._was_of_use

    @property
    def not_before(self) -> Seconds:
        """No block is asked for before this, because of failures."""
        return self._not_before

    def may_start_at(self, now: Seconds) -> Seconds:
        """The earliest moment, from *now* on, for the next block."""
        self._refill(now)
        room = now if self._tokens >= 1 else Seconds(now + (1 - self._tokens) / PER_SECOND)
        return max(room, self._not_before)

    def starts(self, now: Seconds) -> None:
        """A block is asked for."""
        self._refill(now)
        self._tokens -= 1

    def accepted(self) -> None:
        """The provider took it."""
        self._busy_in_row = 0

    def connected(self) -> None:
        """A block is good."""
        self._outcomes.append(True)
        self._in_row = 0
        self._was_of_use = True
        self._not_before = Seconds(0.0)

    def failed(self, now: Seconds) -> None:
        """A block is bad."""
        self._outcomes.append(False)
        self._in_row += 1
        self._wait(_doubled(self._in_row), now)

    def died_early(self, now: Seconds) -> None:
        """A good block ended soon."""
        self._outcomes.append(False)
        bad = self._outcomes.count(False)
        if bad > 1:  # the first may be anything, and is replaced at once
            self._wait(min(LONGEST_EARLY_DELAY, Seconds(FIRST_DELAY * bad)), now)

    def busy(self, now: Seconds) -> None:
        """The provider has no room; nothing is wrong with its blocks."""
        self._busy_in_row += 1
        self._wait(_doubled(self._busy_in_row), now)

    def _wait(self, delay: Seconds, now: Seconds) -> None:
        self._not_before = Seconds(now + delay * self._chance.uniform(0.5, 1.0))

    def _refill(self, now: Seconds) -> None:
        self._tokens = min(float(AT_ONCE), self._tokens + (now - self._counted_at) * PER_SECOND)
        self._counted_at = now


def _doubled(times: int) -> Seconds:
    return Seconds(min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(times - 1, 10)))
