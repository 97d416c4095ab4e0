"""Time is an argument: the loops read a `Clock`, the state machines are handed the moment."""

from __future__ import annotations

import time
from typing import Protocol

from cnflow.units import Seconds


class Clock(Protocol):
    """Tells the time on a scale that never goes back."""

    def now(self) -> Seconds:
        """Seconds since some fixed moment; only differences mean anything."""


class SystemClock:
    """The machine's monotonic clock; setting the wall clock does not move it."""

    def now(self) -> Seconds:
        """Seconds since some fixed moment; only differences mean anything."""
        return Seconds(time.monotonic())
