"""Record that the interchange keeps of each registered manager."""

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
    """Registered manager: the tasks that it holds, and the resources that are left.

    Attributes:
        held: tasks that were sent to the manager and have no result yet, and the attempt of each.
        window: number of tasks that the manager wants to hold.
        functions: functions that were sent to the manager.
        timed: functions of the tasks in `held`, whose durations are recorded; empty where the block has no end.
        idle_since: moment when `held` became empty; meaningless while it is not.
    """

    __slots__ = (
        "capacity", "ends_at", "functions", "held", "idle_since", "info", "is_draining", "is_on_hold", "last_received",
        "last_sent", "timed", "window",
    )  # fmt: skip

    def __init__(self, info: ManagerInfo, now: Seconds) -> None:
        self.info = info
        self.capacity = NodeCapacity(info)
        self.held: dict[TaskId, int] = {}
        self.window = 0
        self.functions: set[FunctionId] = set()
        self.timed: dict[TaskId, FunctionId] = {}
        self.ends_at = now + info.node.life
        self.last_received = now
        self.last_sent = now
        self.idle_since = now
        self.is_draining = False
        self.is_on_hold = False

    @property
    def is_active(self) -> bool:
        """True if the manager is sent tasks."""
        return not (self.is_draining or self.is_on_hold)

    def idle_seconds(self, now: Seconds) -> float:
        """Seconds since the manager held a task; 0 while it holds one."""
        return 0.0 if self.held else now - self.idle_since

    def status(self, manager: ManagerId, now: Seconds) -> ManagerStatus:
        """Entry of this manager, whose id is *manager*, in a `StatusReport`."""
        silent = now - self.last_received
        return ManagerStatus(manager, len(self.held), self.idle_seconds(now), silent, self.is_active, self.is_draining)

    @property
    def plain_tasks(self) -> int:
        """Number of held tasks without needs."""
        return len(self.held) - self.capacity.allocations

    @property
    def free_workers(self) -> int:
        """Number of workers without a task."""
        return min(self.info.slots, self.window) - len(self.held)


def idle_times(managers: Iterable[ManagerRecord], now: Seconds) -> dict[BlockId, float]:
    """Seconds since each block with managers held a task; 0 for a block that holds one."""
    times: dict[BlockId, float] = {}
    for record in managers:
        idle = record.idle_seconds(now)
        times[record.info.block] = min(idle, times.get(record.info.block, idle))
    return times
