"""Counts the resources of a node that its tasks take. No I/O; `cnflow.tasks.node_shape` has the arithmetic."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.tasks.node_shape import NOTHING, NodeShape, ResourceVector
from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.wire.manager_messages import ManagerInfo, Needs

_MILLIONTHS = 1_000_000


class NodeCapacity:
    """Resources of one node. A plain task takes the share of one worker; so does a task for each unset need."""

    __slots__ = ("_allocated", "_allocations", "host", "life", "shape")

    def __init__(self, info: ManagerInfo) -> None:
        self.host = info.host
        self.life = info.node.life
        self.shape = NodeShape.of(info.slots, info.node)
        self._allocated = NOTHING
        self._allocations: dict[TaskId, ResourceVector] = {}

    @property
    def allocations(self) -> int:
        """Number of tasks with needs on this node."""
        return len(self._allocations)

    def could_fit(self, needs: Needs) -> bool:
        """True if a task with *needs* fits the empty node."""
        return self.shape.total.covers(self.shape.demand(needs))

    def fits(self, needs: Needs, plain_tasks: int) -> bool:
        """True if a task with *needs* fits now, beside *plain_tasks* plain tasks."""
        return self._available(plain_tasks).covers(self.shape.demand(needs))

    def free(self, plain_tasks: int, workers: int) -> ResourceVector:
        """Resources that are free beside *plain_tasks* plain tasks, while *workers* workers have no task."""
        total, taken, share = self.shape.total, self._allocated, self.shape.worker_share
        return ResourceVector(
            workers,
            total[1] - taken[1] - plain_tasks * share[1],
            total[2] - taken[2] - plain_tasks * share[2],
            total[3] - taken[3] - plain_tasks * share[3],
        )

    def free_slots(self, plain_tasks: int, kept: ResourceVector = NOTHING) -> int:
        """Number of further plain tasks that fit now, beside *plain_tasks* of them and what is *kept* for another."""
        return self._available(plain_tasks).plus(kept, -1).count(self.shape.worker_share)

    def allocate(self, task: TaskId, needs: Needs) -> None:
        """Take the resources of *task*."""
        self._allocations[task] = self.shape.demand(needs)
        self._allocated = self._allocated.plus(self._allocations[task])

    def release(self, task: TaskId) -> None:
        """Return the resources of *task*; does nothing if it has none here."""
        allocation = self._allocations.pop(task, None)
        if allocation is not None:
            self._allocated = self._allocated.plus(allocation, -1)

    def _available(self, plain_tasks: int) -> ResourceVector:
        return self.shape.total.plus(self._allocated, -1).plus(self.shape.worker_share, -plain_tasks)

    def __str__(self) -> str:
        total = self.shape.total
        cores, memory, accelerators = total.cores / _MILLIONTHS, total.memory, total.accelerators
        life = "" if self.life == math.inf else f", {self.life:.0f} s"
        return f"{self.host}: cores={cores:g}, memory={amount_of_memory(memory)}, gpus={accelerators}{life}"


def describe_needs(needs: Needs) -> str:
    """Needs that are set, for a message: ``cores=64, memory=2 GB``."""
    parts = []
    if needs.cores >= 0:
        parts.append(f"cores={needs.cores:g}")
    if needs.memory >= 0:
        parts.append(f"memory={amount_of_memory(needs.memory)}")
    if needs.accelerators >= 0:
        parts.append(f"gpus={needs.accelerators}")
    return ", ".join(parts)
