"""Counts the resources of a node and those that its tasks take. No I/O.

All resources are whole numbers, so that allocations and releases add up to exactly nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.wire.manager_messages import ManagerInfo, Needs

_MILLIONTHS = 1_000_000


class ResourceVector(NamedTuple):
    """Amount of each resource of a node."""

    workers: int
    cores: int
    """Millionths of a core."""

    memory: int
    """Bytes."""

    accelerators: int

    def covers(self, other: ResourceVector) -> bool:
        """True if this has at least as much of each resource as *other*."""
        return all(mine >= theirs for mine, theirs in zip(self, other))

    def plus(self, other: ResourceVector, times: int = 1) -> ResourceVector:
        """Sum of this and *times* *other*."""
        return ResourceVector(*(mine + times * theirs for mine, theirs in zip(self, other)))


NOTHING = ResourceVector(0, 0, 0, 0)


class NodeCapacity:
    """Resources of one node. A plain task takes the share of one worker; so does a task for each unset need."""

    __slots__ = ("_allocated", "_allocations", "_life", "_total", "_worker_share", "host")

    def __init__(self, info: ManagerInfo) -> None:
        node, slots = info.node, info.slots
        cores, memory = round(node.worker_cores * _MILLIONTHS), node.worker_memory
        self._life = node.life
        self.host = info.host
        self._worker_share = ResourceVector(1, cores, memory, 1 if node.accelerators else 0)
        # A node that is smaller than one worker's share has one worker nevertheless, whose task takes all.
        self._total = ResourceVector(
            slots,
            max(round(node.cores * _MILLIONTHS), slots * cores),
            max(node.memory, slots * memory),
            node.accelerators,
        )
        self._allocated = NOTHING
        self._allocations: dict[TaskId, ResourceVector] = {}

    @property
    def shape(self) -> tuple[ResourceVector, ResourceVector, float]:
        """Key that is equal for like nodes. Lives count by the minute: they differ by how long blocks took to start."""
        return self._total, self._worker_share, self._life // 60

    @property
    def allocations(self) -> int:
        """Number of tasks with needs on this node."""
        return len(self._allocations)

    def could_fit(self, needs: Needs) -> bool:
        """True if a task with *needs* fits the empty node."""
        return self._total.covers(self._demand(needs))

    def fits(self, needs: Needs, plain_tasks: int) -> bool:
        """True if a task with *needs* fits now, beside *plain_tasks* plain tasks."""
        return self._available(plain_tasks).covers(self._demand(needs))

    def free_slots(self, plain_tasks: int) -> int:
        """Number of further plain tasks that fit now, beside *plain_tasks* of them."""
        available = self._available(plain_tasks)
        return max(0, min(left // each for left, each in zip(available, self._worker_share) if each))

    def allocate(self, task: TaskId, needs: Needs) -> None:
        """Take the resources of *task*."""
        self._allocations[task] = self._demand(needs)
        self._allocated = self._allocated.plus(self._allocations[task])

    def release(self, task: TaskId) -> None:
        """Return the resources of *task*; does nothing if it has none here."""
        allocation = self._allocations.pop(task, None)
        if allocation is not None:
            self._allocated = self._allocated.plus(allocation, -1)

    def _available(self, plain_tasks: int) -> ResourceVector:
        return self._total.plus(self._allocated, -1).plus(self._worker_share, -plain_tasks)

    def _demand(self, needs: Needs) -> ResourceVector:
        share = self._worker_share
        return ResourceVector(
            1,
            share.cores if needs.cores < 0 else round(needs.cores * _MILLIONTHS),
            share.memory if needs.memory < 0 else needs.memory,
            share.accelerators if needs.accelerators < 0 else needs.accelerators,
        )

    def __str__(self) -> str:
        cores, memory, accelerators = self._total.cores / _MILLIONTHS, self._total.memory, self._total.accelerators
        life = "" if self._life == math.inf else f", {self._life:.0f} s"
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
