"""When a manager is to end, and how far it is with it; pure.

::

    WORKING ──drain_period is over──> DRAINING: takes nothing more, ends what it has
       │                                 │
       └──signalled, or its block's end is near──> ENDING: hands back what was not begun; what runs has a grace
                                           └──grace is over──> CUT: what still runs is stopped, and handed back
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, Optional

from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_LAST_WORDS = 2.0
"""Seconds before the block's end at which all is over: the scheduler's clock is not ours."""


class Stage(enum.IntEnum):
    """How far it is."""

    WORKING = 0
    DRAINING = 1
    ENDING = 2
    CUT = 3


class Ending:
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
