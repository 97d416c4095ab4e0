"""Learned durations: of tasks from how many end, of the starts of blocks from those before. No I/O.

::

    on_look(finished, busy slots) ──> slot-seconds of the last minutes / tasks finished in them ──> seconds_per_task
    on_start(seconds) ──────────────> mean of the last starts ──> starts_in(age of the oldest block that comes)

What nothing is known of is taken to last as long again as it has lasted: a block that was asked for 40 s ago is
expected in 40 s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.units import Seconds

_MEMORY = 600.0
"""Seconds after which a look counts for about a third."""

_NEWEST = 0.5
"""Weight of the last start of a block."""


class TaskPace:
    """Mean duration of the tasks of one executor, weighted by the time that they take."""

    def __init__(self) -> None:
        self._busy_seconds = 0.0
        self._finished = 0.0
        self._last: tuple[Seconds, int, float] | None = None

    def on_look(self, finished: int, busy: float, now: Seconds) -> None:
        """Count the time since the last look: *busy* slots have a task, *finished* tasks have ended since the start."""
        if self._last is not None:
            then, before, busy_then = self._last
            seconds = max(0.0, now - then)
            fading = math.exp(-seconds / _MEMORY)
            self._busy_seconds = self._busy_seconds * fading + seconds * busy_then
            self._finished = self._finished * fading + max(0, finished - before)
        self._last = now, finished, busy

    @property
    def seconds_per_task(self) -> float | None:
        """Seconds that a task takes; None before any has ended."""
        return self._busy_seconds / self._finished if self._finished > 0 else None


class StartPace:
    """Mean time from the request of a block to its first manager, of one provider."""

    def __init__(self) -> None:
        self._mean: float | None = None

    def on_start(self, seconds: float) -> None:
        """Learn from a block that connected."""
        self._mean = seconds if self._mean is None else self._mean + _NEWEST * (seconds - self._mean)

    def starts_in(self, age: float) -> float:
        """Return the seconds until a block connects that was requested *age* seconds ago."""
        if self._mean is None:
            return age
        return abs(self._mean - age)  # later than usual: it may take as long again as it is late


class Source(NamedTuple):
    """Slots that come at one time."""

    starts_in: float
    slots: float


def wait_for_last(tasks: float, working: float, coming: list[Source], seconds_per_task: float | None) -> float:
    """Return the seconds until the last of *tasks* that wait for a slot begins; infinity if that is not to be seen.

    Args:
        tasks: that have no slot.
        working: slots that have a task now, of which one is free every ``seconds_per_task / working`` seconds.
        coming: slots without tasks, which take one each at once.
        seconds_per_task: None if not known: only slots that come count then.
    """
    rate = working / seconds_per_task if seconds_per_task else 0.0
    now = 0.0
    for source in sorted(coming):
        begun = rate * max(0.0, source.starts_in - now)
        if begun >= tasks and rate:
            break
        tasks -= begun + source.slots
        now = max(now, source.starts_in)
        if tasks <= 0:
            return now
        rate += source.slots / seconds_per_task if seconds_per_task else 0.0
    if tasks <= 0:
        return now
    return now + tasks / rate if rate else math.inf
