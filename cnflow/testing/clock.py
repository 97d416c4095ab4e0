"""A clock that stands still until a test moves it."""

from __future__ import annotations

from cnflow.units import Seconds


class FakeClock:
    """Satisfies `cnflow.clock.Clock`.

    Args:
        start: first reading, in seconds.

    >>> clock = FakeClock()
    >>> clock.advance(90)
    >>> clock.now()
    90.0
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = Seconds(float(start))

    def now(self) -> Seconds:
        """Return the seconds since some fixed moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward.

        Raises:
            ValueError: *seconds* is negative; a `Clock` never goes back.
        """
        if seconds < 0:
            raise ValueError(f"a clock never goes back: advance({seconds})")
        self._now = Seconds(self._now + seconds)
