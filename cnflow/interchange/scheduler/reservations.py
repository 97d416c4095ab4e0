"""Reserves nodes for tasks that wait, so that no stream of smaller tasks starves them. No I/O.

Until the task that a node is reserved for fits, or starts elsewhere, the node takes only such other tasks as leave it
its share of all that they use: one that waits for a GPU holds back nothing that needs none, while a worker is spare::

    groups in order:   first of those that fit this kind of node ──> one node of this kind
                       any other ───────────────────────────────────> none; smaller tasks pass it
                       any, each time that all workers were given two tasks since it was refused ──> one more node

The second rule is for the head that waits behind one whose reserved node never becomes free, and for that one, too.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Optional

from cnflow.ids import TaskId
from cnflow.interchange.scheduler.end_order import EndOrder
from cnflow.tasks.node_shape import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.deadlines import DeadlineFilter
    from cnflow.interchange.scheduler.task_groups import SortKey, TaskGroup
    from cnflow.tasks.node_shape import NodeShape, ResourceVector
    from cnflow.units import Seconds

    _Kind = tuple[int, int, int, int]

MAX_GROUPS = 64
"""Groups at the head of the order that nodes are reserved for."""

_MAX_NODES = 8
"""Nodes that are reserved for one group at a time."""

_MIN_PATIENCE = 64
_SAMPLE = 64
"""Nodes of a kind that are compared for the one that will be free first."""


class Reservations:
    """Nodes of each kind, and those that are reserved.

    Args:
        managers: records of all managers.
        deadlines: decides which nodes have time for a task.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord], deadlines: DeadlineFilter) -> None:
        self._managers = managers
        self._deadlines = deadlines
        self._nodes: dict[_Kind, EndOrder] = {}
        """Active managers by kind of node."""

        self._kinds: dict[ManagerId, _Kind] = {}
        self._workers = 0
        self._version = 0
        """Rises when a node may have become fit to be reserved."""

        self._groups: dict[ManagerId, TaskGroup] = {}

    def __contains__(self, manager: ManagerId) -> bool:
        return manager in self._groups

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add_node(self, manager: ManagerId) -> None:
        """Let *manager*, which is sent tasks, be reserved."""
        self.remove_node(manager)
        record = self._managers[manager]
        kind = self._kinds[manager] = _kind(record.capacity.shape)
        self._nodes.setdefault(kind, EndOrder()).add(manager, record.ends_at, record.info.node.life)
        self._workers += kind[0]
        self._version += 1

    def remove_node(self, manager: ManagerId) -> None:
        """Do not reserve *manager*, which is sent no more tasks; end its reservation."""
        kind = self._kinds.pop(manager, None)
        if kind is None:
            return
        self._nodes[kind].discard(manager)
        self._workers -= kind[0]
        if not self._nodes[kind]:
            del self._nodes[kind]
        group = self._groups.pop(manager, None)
        if group is not None:
            group.reserved.remove(manager)

    def kept(self, manager: ManagerId) -> ResourceVector:
        """Resources of *manager* that other tasks must leave free, if they use any of them; nothing for most."""
        group = self._groups.get(manager)
        return NOTHING if group is None else group.demand.on(self._managers[manager].capacity.shape)

    def release(self, group: TaskGroup, keep: int = 0) -> list[ManagerId]:
        """End the reservations for *group* but the first few to *keep*; return the nodes that were reserved."""
        return self._release(group.reserved[keep:])

    def release_useless(self, now: Seconds) -> list[ManagerId]:
        """End the reservations of groups that are empty, or for which a node's time is too short by now."""
        return self._release([m for m, group in self._groups.items() if not self._is_in_time(m, group, now)])

    def release_empty(self) -> list[ManagerId]:
        """End the reservations of groups that have no task left; return the nodes."""
        return self._release([manager for manager, group in self._groups.items() if group.head is None])

    def _release(self, managers: list[ManagerId]) -> list[ManagerId]:
        for manager in managers:
            self._groups.pop(manager).reserved.remove(manager)
            self._version += 1
        return managers

    def behind(self, group: TaskGroup) -> Iterator[ManagerId]:
        """Nodes that are reserved for groups which sort after *group*."""
        return (manager for manager, other in self._groups.items() if other.order > group.order)

    def last(self) -> SortKey:
        """Greatest sort key of a group that a node is reserved for."""
        return max((group.sort_key for group in self._groups.values()), default=(-math.inf, TaskId(0)))

    def reserve(
        self, group: TaskGroup, claimed: Optional[set[_Kind]], dispatched: int, now: Seconds
    ) -> list[ManagerId]:
        """Reserve as many nodes for *group* as it is entitled to; return those whose reservation began or ended.

        Args:
            group: one whose head fits no node now.
            claimed: kinds of nodes of which a group before this one has a node reserved, and those of this one are
                added; None if it is the first of no kind.
            dispatched: number of tasks that were dispatched so far.
            now: this moment.
        """
        if group.stuck_since < 0:
            group.stuck_since = dispatched
        patience = max(_MIN_PATIENCE, 2 * self._workers)
        entitled = min((dispatched - group.stuck_since) // patience, _MAX_NODES)
        unclaimed = set() if claimed is None else self._nodes.keys() - claimed
        if unclaimed and (any(self._kinds[m] in unclaimed for m in group.reserved) or self._has_node(group, unclaimed)):
            entitled += 1
        changed = self.release(group, keep=entitled)
        while len(group.reserved) < entitled:
            manager = self._choose(group, unclaimed, now) or self._choose(group, self._nodes.keys(), now)
            if manager is None:
                group.without_node_at = self._version
                break
            group.reserved.append(manager)
            self._groups[manager] = group
            changed.append(manager)
            unclaimed = set()
        if claimed is not None:
            claimed.update(self._kinds[manager] for manager in group.reserved)
        return changed

    def _has_node(self, group: TaskGroup, kinds: Iterable[_Kind]) -> bool:
        """Return whether *group* may fit an empty node of *kinds*, by an example of each."""
        if group.without_node_at == self._version:
            return False
        examples = (next(iter(self._nodes[kind])) for kind in kinds)
        return any(self._managers[manager].capacity.could_fit(group.demand.needs) for manager in examples)

    def _choose(self, group: TaskGroup, kinds: Iterable[_Kind], now: Seconds) -> Optional[ManagerId]:
        """Node of *kinds* that could run the head of *group*, and holds the fewest tasks; None if there is none."""
        if group.head is None or group.without_node_at == self._version:
            return None
        task = group.head[0]
        seconds = self._deadlines.expected(task)
        best: Optional[ManagerId] = None
        for kind in kinds:
            in_time = self._nodes[kind].in_time(seconds, now, has_walltime=bool(task.walltime))
            for manager in itertools.islice(in_time, _SAMPLE):
                record = self._managers[manager]
                if manager in self._groups or not record.capacity.could_fit(group.demand.needs):
                    continue
                if self._is_in_time(manager, group, now) and (
                    best is None or len(record.held) < len(self._managers[best].held)
                ):
                    best = manager
        return best

    def _is_in_time(self, manager: ManagerId, group: TaskGroup, now: Seconds) -> bool:
        record = self._managers[manager]
        return group.head is not None and self._deadlines.is_in_time(
            group.head[0], record.ends_at - now, record.info.node.life
        )


def _kind(shape: NodeShape) -> _Kind:
    """Key of nodes that are nearly alike: the memory of equal machines differs a little."""
    total = shape.total
    return total.workers, total.cores, round(4 * math.log2(total.memory + 1)), total.accelerators
