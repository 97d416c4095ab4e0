"""Clocks: loops get a `Clock` as an argument and pass the time to their state machines; tests pass a `FakeClock`."""

from __future__ import annotations

import time
from typing import Protocol

from cnflow.units import Seconds


class Clock(Protocol):
    """Source of time that never goes back; `cnflow.testing.FakeClock` is one for tests."""

    def now(self) -> Seconds:
        """Return the seconds since some fixed moment; only differences have a meaning."""


class SystemClock:
    """Monotonic clock of this machine; setting the wall clock does not move it."""

    def now(self) -> Seconds:
        """Return the seconds since some fixed moment; only differences have a meaning."""
        return Seconds(time.monotonic())
