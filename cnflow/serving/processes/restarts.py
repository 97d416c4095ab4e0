"""Decides when a front that has ended is started again. No I/O.

::

    starts ──greeting──> serves ──ends after `STEADY` s or more──────> again at once
       │                    └─────ends before that───────────────────> again, each time later, up to `LONGEST` s
       └──ends, and no front has ever served, `TRIES` times──────────> the server ends, with the last words of the front
"""

from __future__ import annotations

from typing import NamedTuple

STEADY = 10.0
"""Seconds of service after which an end counts as the first one."""

SHORTEST = 0.25
LONGEST = 10.0
TRIES = 3


class Again(NamedTuple):
    """Start it again after so many seconds."""

    delay: float


class Hopeless(NamedTuple):
    """Do not start it again: none can serve."""


class Restarts:
    """Remembers how the fronts of one server have ended."""

    def __init__(self) -> None:
        self._has_served = False
        self._failures: dict[int, int] = {}
        self._greeted: dict[int, float] = {}

    def on_greeting(self, number: int, now: float) -> None:
        """Front *number* accepts connections."""
        self._has_served = True
        self._greeted[number] = now

    def on_exit(self, number: int, now: float) -> Again | Hopeless:
        """Front *number* has ended, and nobody ordered it."""
        greeted = self._greeted.pop(number, None)
        if greeted is not None and now - greeted >= STEADY:
            self._failures.pop(number, None)
            return Again(0.0)
        failures = self._failures[number] = self._failures.get(number, 0) + 1
        if not self._has_served and failures >= TRIES:
            return Hopeless()
        if greeted is not None and failures == 1:
            return Again(0.0)
        return Again(float(min(LONGEST, SHORTEST * 2 ** min(failures - 1, 10))))
