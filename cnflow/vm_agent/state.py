"""Decides when the agent signals its manager; no I/O.

::

    RUNNING ──notice of the cloud──> NOTICED   SIGUSR1: the manager drains
       │                                │
       └──order, or end of life─────────┴──> ENDING   SIGTERM: running tasks have the grace period
                                                │
                                                └──still there after it──> KILLED   SIGKILL

From NOTICED to ENDING the time passes that the cloud gives, less the grace period. The agent ends when the manager has.
"""

from __future__ import annotations

import enum
import math
import signal
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from cnflow.units import Seconds

_MARGIN = 5.0
"""Seconds between the end of the grace period and that of the machine, for results on their way."""


class Step(enum.IntEnum):
    """Steps of an end, in order."""

    RUNNING = 0
    NOTICED = 1
    ENDING = 2
    KILLED = 3


class Course:
    """The state; see the module.

    Args:
        now: time at which the manager was started.
        grace: seconds that the manager gives running tasks.
        life: seconds until the manager is ordered to end; None sets no end.
        drains: SIGUSR1 is a notice for the command.

    Attributes:
        step: the present one.
        next_step_at: time to call `on_tick`; infinite if time alone changes nothing.
    """

    def __init__(self, now: Seconds, grace: float, life: Optional[float] = None, *, drains: bool = True) -> None:
        self._grace = grace
        self._drains = drains
        self.step = Step.RUNNING
        self.next_step_at: float = math.inf if life is None else now + life

    def on_notice(self, left: float, now: Seconds) -> list[signal.Signals]:
        """Prepare for the end of the machine in *left* seconds; return the signals to send."""
        if self.step >= Step.ENDING:
            return []
        first = self.step is Step.RUNNING and self._drains
        self.step = Step.NOTICED
        self.next_step_at = min(self.next_step_at, now + max(0.0, left - self._grace - _MARGIN))
        return [*([signal.SIGUSR1] if first else []), *self.on_tick(now)]

    def on_order(self, now: Seconds) -> list[signal.Signals]:
        """End: the machine is being shut down; return the signals to send."""
        if self.step < Step.ENDING:
            self.next_step_at = now
        return self.on_tick(now)

    def on_tick(self, now: Seconds) -> list[signal.Signals]:
        """Return the signals to send at time *now*."""
        if now < self.next_step_at:
            return []
        if self.step < Step.ENDING:
            self.step, self.next_step_at = Step.ENDING, now + self._grace + _MARGIN
            return [signal.SIGTERM]
        self.step, self.next_step_at = Step.KILLED, math.inf
        return [signal.SIGKILL]
