"""Record that the interchange keeps of each registered manager."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.interchange.scheduler.fifo import CallCount
from cnflow.interchange.scheduler.node import NodeCapacity
from cnflow.wire.manager_messages import ManagerStatus
from cnflow.wire.messages import Result
from cnflow.wire.pipe import ResultKind
from cnflow.wire.sent_functions import OF_MANAGER, SentFunctions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, FunctionId, ManagerId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.manager_messages import ManagerInfo
    from cnflow.wire.messages import ResultParcel, TaskParcel


class ManagerRecord:
    """Registered manager: the tasks that it holds, and the resources that are left.

    Attributes:
        held: tasks that were sent to the manager and have no result yet, and the attempt of each.
        calls: those tasks in `held` that are calls of models.
        window: number of tasks that the manager wants to hold.
        wanted_calls: number of calls that it wants to hold besides, or 0.
        stopping: attempts that it was ordered to stop and that are not in `held`; it is sent nothing before they end.
        was_ready: it has asked for tasks, of this interchange or of the one before.
        functions: those that were sent to the manager; an earlier interchange may have sent it others.
        timed: functions of the tasks in `held`, whose durations are recorded; empty where the block has no end.
        idle_since: moment when `held` became empty; meaningless while it is not.
    """

    __slots__ = (
        "calls", "capacity", "ends_at", "functions", "held", "idle_since", "info", "is_draining", "is_on_hold",
        "last_received", "last_sent", "stopping", "timed", "wanted_calls", "was_ready", "window",
    )  # fmt: skip

    def __init__(self, info: ManagerInfo, now: Seconds) -> None:
        self.info = info
        self.capacity = NodeCapacity(info)
        self.held: dict[TaskId, int] = {}
        self.stopping: dict[TaskId, int] = {}
        self.window = self.wanted_calls = 0
        self.calls: set[TaskId] = set()
        self.was_ready = False
        self.functions = SentFunctions(OF_MANAGER, is_new=False)
        self.timed: dict[TaskId, FunctionId] = {}
        self.ends_at = now + min(info.node.life, info.node.left)
        self.last_received = now
        self.last_sent = now
        self.idle_since = now
        self.is_draining = False
        self.is_on_hold = False

    @property
    def is_active(self) -> bool:
        """True if the manager is sent tasks."""
        return not (self.is_draining or self.is_on_hold or self.stopping)

    def hold(self, parcels: Sequence[TaskParcel], *, may_have_needs: bool) -> None:
        """Count the tasks of *parcels* among those that the manager has."""
        self.held.update((task.id, task.attempt) for task, _ in parcels)
        if self.ends_at < math.inf:
            self.timed.update((task.id, task.function) for task, _ in parcels)
        for task, _ in parcels if may_have_needs else ():
            if task.rows:
                self.calls.add(task.id)
            if task.needs is not None:
                self.capacity.allocate(task.id, task.needs)

    def on_new_session(self, held: Mapping[TaskId, int], now: Seconds) -> list[Result]:
        """Remove the tasks that were lost on their way to the manager, which has *held*; return their results."""
        lost = {task: attempt for task, attempt in self.held.items() if held.get(task) != attempt}
        for task in lost:
            del self.held[task]
            self.timed.pop(task, None)
            self.calls.discard(task)
            self.capacity.release(task)
        if not self.held:
            self.idle_since = now
        self.window = self.wanted_calls = 0
        self.functions.on_new_session()
        self.last_received = self.last_sent = now
        where = f"{self.info.host}, block {self.info.block}: the connection was lost on the way".encode()
        return [Result(task, ResultKind.RETURNED, where, attempt=attempt) for task, attempt in lost.items()]

    def on_results(
        self, results: Iterable[ResultParcel], now: Seconds
    ) -> tuple[list[ResultParcel], list[ResultParcel]]:
        """Remove the attempts that have ended; return those of *results* that are of attempts in `held`, and the ends.

        Both are one list, but for pieces of a stream (PARTIAL), which are no ends.
        """
        held = self.held
        ours: list[ResultParcel] = []
        has_pieces = False
        for parcel in results:
            task, attempt = parcel[0].id, parcel[0].attempt
            if held.get(task) == attempt:
                ours.append(parcel)
                if parcel[0].kind == ResultKind.PARTIAL:
                    has_pieces = True
                else:
                    del held[task]
            elif self.stopping and self.stopping.get(task) == attempt and parcel[0].kind != ResultKind.PARTIAL:
                del self.stopping[task]
        if ours and not held:
            self.idle_since = now
        ends = ours if not has_pieces else [parcel for parcel in ours if parcel[0].kind != ResultKind.PARTIAL]
        if self.calls:
            self.calls.difference_update(result.id for result, _ in ends)
        return ours, ends

    def idle_seconds(self, now: Seconds) -> float:
        """Seconds since the manager held a task; 0 while it holds one."""
        return 0.0 if self.held else now - self.idle_since

    def status(self, manager: ManagerId, now: Seconds) -> ManagerStatus:
        """Entry of this manager, whose id is *manager*, in a `StatusReport`."""
        silent = now - self.last_received
        return ManagerStatus(manager, len(self.held), self.idle_seconds(now), silent, self.is_active, self.is_draining)

    @property
    def call_count(self) -> CallCount:
        """Calls of models that it holds, and wants to hold."""
        return CallCount(len(self.calls), self.wanted_calls)

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
