"""When a manager is to end, and how far it is with it; pure.

::

    WORKING ──drain_period is over──> DRAINING: takes nothing more, ends what it has
       │                                 │
       └──signalled, or its block's end is near──> ENDING: hands back what was not begun; what runs has a grace
                                           └──grace is over──> CUT: what still runs is stopped, and handed back
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import signal
import time
from typing import TYPE_CHECKING, Optional

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.model.manager_settings import ManagerSettings

_LAST_WORDS = 2.0
"""Seconds before the block's end at which all is over: the scheduler's clock is not ours."""


class Stage(enum.IntEnum):
    """How far it is."""

    WORKING = 0
    DRAINING = 1
    ENDING = 2
    CUT = 3


class Shutdown:
    """The state; see the module.

    Args:
        now: the manager begins.
        grace: that running tasks have once it is to end.
        drain_period: after this it takes nothing more.
        life: of its block, from now on.
    """

    def __init__(self, now: Seconds, grace: float, drain_period: Optional[float], life: Optional[float]) -> None:
        self._grace = grace
        self._drain_at = math.inf if drain_period is None else now + drain_period
        self._cut_at = math.inf if life is None else now + life - min(_LAST_WORDS, life / 10)
        self._end_at = self._cut_at - grace
        self.stage = Stage.WORKING

    @property
    def next_at(self) -> Seconds:
        """When to call `passed`; infinite if only a signal can change anything."""
        if self.stage is Stage.CUT:
            return Seconds(math.inf)
        if self.stage is Stage.ENDING:
            return Seconds(self._cut_at)
        if self.stage is Stage.DRAINING:
            return Seconds(self._end_at)
        return Seconds(min(self._drain_at, self._end_at))

    def left(self, now: Seconds) -> float:
        """Seconds until all is over; infinite if that is not known."""
        return max(0.0, self._cut_at - now)

    def signalled(self, now: Seconds) -> None:
        """It was told to end; a second time means at once."""
        self._cut_at = now if self.stage >= Stage.ENDING else min(self._cut_at, now + self._grace)
        self._end_at = min(self._end_at, now)
        self.passed(now)

    def passed(self, now: Seconds) -> None:
        """Time passed."""
        if now >= self._drain_at:
            self.stage = max(self.stage, Stage.DRAINING)
        if now >= self._end_at:
            self.stage = max(self.stage, Stage.ENDING)
            self._cut_at = max(self._cut_at, self._end_at)
        if self.stage is Stage.ENDING and now >= self._cut_at:
            self.stage = Stage.CUT


def life_of_block(environment: Mapping[str, str], walltime: Optional[float], unix_time: float) -> Optional[float]:
    """Seconds that the block of this environment has from now on, by its scheduler or as the provider was told.

    Args:
        environment: of the manager.
        walltime: that the provider asked for; None if it did not.
        unix_time: now.
    """
    told = [] if walltime is None else [walltime]
    # https://slurm.schedmd.com/srun.html (Slurm 23.02 and newer): seconds since 1970.
    end = _number(environment.get("CNFLOW_BLOCK_ENDS_AT") or environment.get("SLURM_JOB_END_TIME"))
    if end is not None:
        told.append(end - unix_time)
    # OpenPBS and Torque: seconds, from the job's start, which was just now.
    from_start = _number(environment.get("PBS_WALLTIME"))
    if from_start is not None:
        told.append(from_start)
    return max(0.0, min(told)) if told else None


def _number(text: Optional[str]) -> Optional[float]:
    try:
        return float(text) if text else None
    except ValueError:
        return None


class ShutdownWatch:
    """Where the manager is on its way; to be used in its main thread."""

    def __init__(self, ending: Shutdown) -> None:
        self._ending = ending
        self._signals: list[int] = []
        self.stage = Stage.WORKING
        self.next_step = ending.next_at

    @classmethod
    def of(cls, settings: ManagerSettings, now: Seconds) -> ShutdownWatch:
        """Of a manager that begins now."""
        life = life_of_block(os.environ, settings.walltime, time.time())
        return cls(Shutdown(now, settings.grace_period, settings.drain_period, life))

    def listen(self) -> int:
        """Hear signals from now on; returns a descriptor that is readable when there is one to follow."""
        self._wake, write = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda signalled, _: self._signals.append(signalled))
        return self._wake

    def step(self, now: Seconds) -> Optional[Stage]:
        """The stage that is reached now, if it is another than before."""
        if not self._signals and now < self.next_step and self.stage is Stage.WORKING:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 64)  # before they are taken: what is not read wakes the loop again
        signals, self._signals = self._signals, []
        for _ in range(len(signals) + (signal.SIGINT in signals)):  # that one means at once
            self._ending.signalled(now)
        self._ending.passed(now)
        self.next_step = self._ending.next_at
        before, self.stage = self.stage, self._ending.stage
        return None if self.stage is before else self.stage

    def left(self, now: Seconds) -> float:
        """Seconds until all is over."""
        return self._ending.left(now)
