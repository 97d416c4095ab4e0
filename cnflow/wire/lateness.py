"""Finds out that this process did not run: it was stopped, or its machine slept. No I/O.

A loop that judges others by their silence must not count time in which it could not hear them::

    turn: poll, at most until `due` ──────────────> woken ─── messages ─── turn: poll ...
                                        │
    SIGSTOP ... SIGCONT, or a long turn └── seconds beyond `due`: nobody is silent because of these
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.units import Seconds

_USUAL = 0.25
"""Seconds by which a turn may end late on a busy machine; not worth a correction of all peers, at the least."""


class Lateness:
    """Compares the moments of a loop's turns; call `on_turn` once in each, after the poll.

    Args:
        now: the moment.
        period: seconds between heartbeats. Half of it is not counted: with long turns no silence ever would be.
    """

    def __init__(self, now: Seconds, period: float = 0.0) -> None:
        self._before = now
        self._usual = max(_USUAL, period / 2)

    def on_turn(self, now: Seconds, due: Seconds) -> float:
        """Return the seconds by which this turn begins too late; 0 if that is within the usual.

        Args:
            now: begin of this turn.
            due: moment until which the poll was to wait at the most.
        """
        late = now - max(due, self._before)
        self._before = now
        return late if late > self._usual else 0.0
