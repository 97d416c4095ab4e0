"""Groups of waiting tasks with the same needs and like durations. No I/O.

A group is a heap by priority, then order of submission: tasks that differ in priority only are in one group. If its
head fits no node, none of its tasks does, so that a round costs as much as there are groups, not tasks::

    group (2 cores, walltimes up to 64 s):   head ── behind it, alike ── ...
    group (2 cores, function f):             head ── ...                       order: the groups, by their heads
    group (4 cores, duration unknown):       head ── ...
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from typing import TYPE_CHECKING, Optional

from cnflow.ids import ManagerId, TaskId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.interchange.scheduler.deadlines import DeadlineFilter, DurationKey
    from cnflow.interchange.scheduler.free_nodes import FreeNodes
    from cnflow.tasks.node_shape import NodeShape, ResourceVector
    from cnflow.wire.manager_messages import Needs
    from cnflow.wire.messages import TaskParcel

SortKey = tuple[float, TaskId]
"""Priority, then order of submission."""

_Entry = tuple[float, TaskId, int, "TaskParcel"]
_NeedsKey = tuple[float, int, int]
_GroupKey = tuple[_NeedsKey, "DurationKey"]
_MIN_TOMBSTONES = 64


class Demand:
    """Needs that all tasks of some groups have, and the newest bucket of free nodes that they fit.

    Attributes:
        needs: of each task; the priority is that of any.
        is_misfit: True if the tasks fit no node that is known; None if they were not compared yet.
        ends_at: moment at which the last block ends, of those that a task fits or fitted in this round.
    """

    __slots__ = ("_by_share", "_compared", "_newest", "_round", "ends_at", "is_misfit", "needs")

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.is_misfit: Optional[bool] = None
        self._by_share: dict[ResourceVector, ResourceVector] = {}
        self._compared = self._newest = self._round = -1
        self.ends_at = -math.inf

    def on(self, shape: NodeShape) -> ResourceVector:
        """Resources that a task takes on a node of *shape*."""
        demand = self._by_share.get(shape.worker_share)
        if demand is None:
            demand = self._by_share[shape.worker_share] = shape.demand(self.needs)
        return demand

    def newest_fit(self, free: FreeNodes) -> int:
        """Version of the newest bucket that a task fits or fitted; -1 if there is none."""
        if self._round != free.round:
            self._round = free.round
            self._compared, self.ends_at = -1, -math.inf
        if self._compared < free.version:
            for bucket in free.newer_than(self._compared):
                if bucket.free.covers(self.on(bucket.shape)):
                    self._newest = max(self._newest, bucket.version)
                    self.ends_at = max(self.ends_at, bucket.nodes.last_end)
            self._compared = free.version
        return self._newest


class TaskGroup:
    """Waiting tasks with the same needs and like durations.

    Attributes:
        key: of the group, among all.
        demand: of each task.
        head: first task; None if the group is empty.
        order: key by which the group is sorted among the others.
        refused_at: version of `FreeNodes` up to which no node fits the head; -1: none is known.
        refused_seconds: what the head was expected to last at that time.
        stuck_since: number of tasks that had been dispatched when the head fitted no node; -1 if it was not tried yet.
        reserved: nodes that are kept free for the head.
        without_node_at: version of `Reservations` at which no node could be reserved.
    """

    __slots__ = (
        "demand", "entries", "head", "key", "order", "refused_at", "refused_seconds", "reserved", "stuck_since",
        "tombstones", "without_node_at",
    )  # fmt: skip

    def __init__(self, key: _GroupKey, demand: Demand) -> None:
        self.key = key
        self.demand = demand
        self.entries: list[_Entry] = []
        self.tombstones = 0
        self.head: Optional[TaskParcel] = None
        self.order: tuple[float, TaskId, int] = (0.0, TaskId(0), 0)
        self.refused_at = -1
        self.refused_seconds = 0.0
        self.stuck_since = -1
        self.without_node_at = -1
        self.reserved: list[ManagerId] = []

    @property
    def sort_key(self) -> SortKey:
        """Priority and id of the head."""
        return self.order[:2]


class TaskGroups:
    """All groups, in the order of their heads.

    Args:
        deadlines: tells like durations.
    """

    def __init__(self, deadlines: DeadlineFilter) -> None:
        self._deadlines = deadlines
        self._groups: dict[_GroupKey, TaskGroup] = {}
        self._demands: dict[_NeedsKey, tuple[Demand, int]] = {}
        """Demand of each group, and the number of its groups."""

        self._order: list[tuple[tuple[float, TaskId, int], TaskGroup]] = []
        self._waiting: dict[TaskId, tuple[TaskParcel, TaskGroup]] = {}
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[TaskGroup]:
        return (group for _, group in self._order)

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self._order)

    def at(self, index: int) -> Optional[TaskGroup]:
        """Group at *index* in the order of heads; None behind the last."""
        return self._order[index][1] if index < len(self._order) else None

    def add(self, parcel: TaskParcel) -> TaskGroup:
        """Queue a task with needs; return its group."""
        task = parcel[0]
        needs = task.needs
        assert needs is not None
        key = (needs.cores, needs.memory, needs.accelerators), self._deadlines.key(task)
        group = self._groups.get(key)
        if group is None:
            demand, count = self._demands.get(key[0]) or (Demand(needs), 0)
            self._demands[key[0]] = demand, count + 1
            group = self._groups[key] = TaskGroup(key, demand)
        entry = needs.priority, task.id, next(self._count), parcel
        heapq.heappush(group.entries, entry)
        self._waiting[task.id] = parcel, group
        if group.entries[0] is entry:
            self._set_head(group)
        return group

    def take_head(self, group: TaskGroup) -> TaskParcel:
        """Remove and return the head of *group*, which is then at another place in the order, or gone."""
        parcel = group.head
        assert parcel is not None
        heapq.heappop(group.entries)
        del self._waiting[parcel[0].id]
        self._set_head(group)
        return parcel

    def regroup_head(self, group: TaskGroup) -> None:
        """Move the head of *group* into another group if its duration has become known, or is no longer."""
        while group.head is not None and self._deadlines.key(group.head[0]) != group.key[1]:
            self.add(self.take_head(group))

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        waiting = ((number, self._waiting.get(number), attempt) for number, attempt in attempts.items())
        return self.pop([number for number, its, attempt in waiting if its and its[0][0].attempt == attempt])

    def pop(self, ids: Iterable[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        removed: list[TaskParcel] = []
        for number in ids:
            found = self._waiting.pop(number, None)
            if found is None:
                continue
            parcel, group = found
            removed.append(parcel)
            group.tombstones += 1
            if parcel is group.head:
                self._set_head(group)
            elif group.tombstones > max(_MIN_TOMBSTONES, len(group.entries) // 2):
                group.entries = [entry for entry in group.entries if self._is_waiting(entry)]
                heapq.heapify(group.entries)
                group.tombstones = 0
        return removed

    def pop_group(self, group: TaskGroup) -> list[TaskParcel]:
        """Remove *group*; return its tasks."""
        return self.pop([entry[1] for entry in group.entries if self._is_waiting(entry)])

    def demands(self) -> Iterator[Demand]:
        """Distinct demands of all groups."""
        return (demand for demand, _ in self._demands.values())

    def waiting(self) -> Iterator[TaskParcel]:
        """All tasks, in no order."""
        return (parcel for parcel, _ in self._waiting.values())

    def position(self, task: TaskId) -> int:
        """Number of tasks here that sort before *task*; -1 if it does not wait here."""
        found = self._waiting.get(task)
        if found is None:
            return -1
        needs = found[0][0].needs
        assert needs is not None
        key = needs.priority, task
        groups = (group.entries for group in self if group.sort_key < key)
        return sum(entry[:2] < key and self._is_waiting(entry) for entries in groups for entry in entries)

    def _is_waiting(self, entry: _Entry) -> bool:
        found = self._waiting.get(entry[1])
        return found is not None and found[0] is entry[3]

    def _set_head(self, group: TaskGroup) -> None:
        """Find the head of *group* after a change, and its place in the order; remove the group if it is empty."""
        while group.entries and not self._is_waiting(group.entries[0]):
            heapq.heappop(group.entries)
            group.tombstones -= 1
        before = group.head
        if before is not None:
            del self._order[bisect.bisect_left(self._order, (group.order,))]
        if not group.entries:
            group.head = None
            del self._groups[group.key]
            demand, groups = self._demands.pop(group.key[0])
            if groups > 1:
                self._demands[group.key[0]] = demand, groups - 1
            return
        priority, number, count, parcel = group.entries[0]
        group.head = parcel
        group.order = priority, number, count
        bisect.insort(self._order, (group.order, group))
        group.stuck_since = -1
        if before is None or parcel[0].walltime < before[0].walltime:
            group.refused_at = group.without_node_at = -1
