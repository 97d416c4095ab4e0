"""A manager as the interchange knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.interchange.scheduler.node import NodeCapacity
from cnflow.wire.manager_messages import ManagerStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId, FunctionId, ManagerId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.manager_messages import ManagerInfo


class ManagerRecord:
    """One that is registered."""

    __slots__ = (
        "began", "ends_at", "functions", "heard", "held", "idle_since", "info", "is_draining", "is_on_hold", "place",
        "spoken", "window",
    )  # fmt: skip

    def __init__(self, info: ManagerInfo, now: Seconds) -> None:
        self.info = info
        self.place = NodeCapacity(info)
        self.held: set[TaskId] = set()
        self.began: dict[TaskId, FunctionId] = {}  # functions of what it holds, where its block has an end
        self.ends_at = now + info.node.life
        self.functions: set[FunctionId] = set()
        self.heard = now
        self.spoken = now
        self.idle_since = now  # means something while nothing is held
        self.window = 0  # tasks that it wants to hold in all
        self.is_draining = False
        self.is_on_hold = False

    @property
    def is_active(self) -> bool:
        """Whether it is given tasks."""
        return not (self.is_draining or self.is_on_hold)

    def idle(self, now: Seconds) -> float:
        """Seconds since it held a task; 0 while it holds some."""
        return 0.0 if self.held else now - self.idle_since

    def as_told(self, manager: ManagerId, now: Seconds) -> ManagerStatus:
        """For who asks how it is."""
        silent = now - self.heard
        return ManagerStatus(manager, len(self.held), self.idle(now), silent, self.is_active, self.is_draining)

    @property
    def others(self) -> int:
        """Tasks that it holds and that did not say what they need."""
        return len(self.held) - self.place.tasks

    @property
    def free_workers(self) -> int:
        """Workers that live and that no task is meant for."""
        return min(self.info.slots, self.window) - len(self.held)


def idle_times(managers: Iterable[ManagerRecord], now: Seconds) -> dict[BlockId, float]:
    """Seconds since each block with managers held a task; 0 for one that holds some."""
    times: dict[BlockId, float] = {}
    for known in managers:
        idle = known.idle(now)
        times[known.info.block] = min(idle, times.get(known.info.block, idle))
    return times
