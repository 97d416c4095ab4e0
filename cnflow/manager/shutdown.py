"""Decides when a manager drains, ends and cuts its tasks off; no I/O.

::

    WORKING ──drain_period, or notice──> DRAINING: accepts no more tasks, finishes those it has
       │                                 │
       └──signal, or the block's end is near──> ENDING: returns tasks that were not started; running ones have the grace
                                                  │     period
                                                  └──grace period is over, or a second signal──> CUT: running tasks
                                                        are stopped and returned

    block's end ─────────────────────────────────────────────┐
    now          end_at = cut_at - grace     cut_at = end - 2 s (a tenth of a block that is shorter than 20 s)

Stages only advance. The grace period takes a quarter of the block's life at most, so that a short block works before it
ends: a manager that is ENDING from its start takes no task, and block after block would come and go without a word.
`shutdown_signals` feeds this state with signals and the clock.
"""

from __future__ import annotations

import contextlib
import enum
import math
from typing import TYPE_CHECKING, Optional

from cnflow.model.manager_settings import BLOCK_ENDS_AT
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

_MARGIN = 2.0
"""Seconds between the manager's last step and the block's end: the scheduler's clock differs from the node's."""


class Stage(enum.IntEnum):
    """Steps of a shutdown, in order; their names in lower case are sent to the interchange."""

    WORKING = 0
    DRAINING = 1
    ENDING = 2
    CUT = 3


class Shutdown:
    """The state; see the module.

    Args:
        now: time at which the manager starts.
        grace: seconds that running tasks have in stage ENDING; in a block of known end a quarter of *life* at most.
        drain_period: seconds until the manager drains; None never does.
        life: seconds from *now* until the block ends; None if no end is known.

    Attributes:
        stage: the present one.
        life: seconds from the start until stage CUT, if no signal arrives; infinite if no end is known.
    """

    def __init__(self, now: Seconds, grace: float, drain_period: Optional[float], life: Optional[float]) -> None:
        self._grace = grace if life is None else min(grace, life / 4)
        self._drain_at = math.inf if drain_period is None else now + drain_period
        self._cut_at = math.inf if life is None else now + life - min(_MARGIN, life / 10)
        self.life = self._cut_at - now
        self._end_at = self._cut_at - self._grace
        self.stage = Stage.WORKING

    @property
    def next_step_at(self) -> Seconds:
        """Time to call `on_tick`; infinite if only a signal can advance the stage."""
        if self.stage is Stage.CUT:
            return Seconds(math.inf)
        if self.stage is Stage.ENDING:
            return Seconds(self._cut_at)
        if self.stage is Stage.DRAINING:
            return Seconds(self._end_at)
        return Seconds(min(self._drain_at, self._end_at))

    def seconds_left(self, now: Seconds) -> float:
        """Seconds until stage CUT; infinite if no end is known."""
        return max(0.0, self._cut_at - now)

    def on_signal(self, now: Seconds) -> None:
        """Enter ENDING; on a second signal, CUT."""
        self._cut_at = now if self.stage >= Stage.ENDING else min(self._cut_at, now + self._grace)
        self._end_at = min(self._end_at, now)
        self.on_tick(now)

    def on_notice(self, now: Seconds) -> None:
        """Enter DRAINING: the block will end soon."""
        self._drain_at = min(self._drain_at, now)
        self.on_tick(now)

    def on_tick(self, now: Seconds) -> None:
        """Advance to the stage of time *now*."""
        if now >= self._drain_at:
            self.stage = max(self.stage, Stage.DRAINING)
        if now >= self._end_at:
            self.stage = max(self.stage, Stage.ENDING)
            self._cut_at = max(self._cut_at, self._end_at)
        if self.stage is Stage.ENDING and now >= self._cut_at:
            self.stage = Stage.CUT


def seconds_to_block_end(
    environment: Mapping[str, str], walltime: Optional[float], unix_time: float
) -> Optional[float]:
    """Seconds until the block ends, the earlier one of two sources; None if neither is known.

    Args:
        environment: of the manager; the provider or ``worker_init`` may set ``CNFLOW_BLOCK_ENDS_AT``. A text that is no
            number is ignored.
        walltime: seconds that the provider asked for; the block has just started.
        unix_time: now, in seconds since 1970.
    """
    ends = [] if walltime is None else [walltime]
    with contextlib.suppress(ValueError):
        ends.append(float(environment.get(BLOCK_ENDS_AT, "")) - unix_time)
    return max(0.0, min(ends)) if ends else None
