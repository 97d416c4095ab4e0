"""Counts how many tasks fit a node, and how many nodes fit a number of tasks. No I/O.

The driver asks for blocks by it, the interchange assigns tasks by it, so that both count alike::

    Needs of a task ──demand()──> ResourceVector <── total, share of one worker ── NodeShape.of(slots, Node)
                                        │
                  tasks_per_node: how often it fits the empty node
                  slots_needed: the same for many tasks, in slots of the node

All resources are whole numbers, so that allocations and releases add up to exactly nothing.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.wire.manager_messages import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.model.resources import Resources
    from cnflow.wire.manager_messages import Node

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
        return self[0] >= other[0] and self[1] >= other[1] and self[2] >= other[2] and self[3] >= other[3]

    def without(self, other: ResourceVector) -> ResourceVector:
        """Remainder of each resource beside *other*; not below 0."""
        return ResourceVector(*(max(0, mine - theirs) for mine, theirs in zip(self, other)))

    def count(self, other: ResourceVector) -> int:
        """Number of times that *other* fits in this; not below 0."""
        return max(0, min(mine // theirs for mine, theirs in zip(self, other) if theirs))

    def plus(self, other: ResourceVector, times: int = 1) -> ResourceVector:
        """Sum of this and *times* *other*."""
        return ResourceVector(
            self[0] + times * other[0],
            self[1] + times * other[1],
            self[2] + times * other[2],
            self[3] + times * other[3],
        )


NOTHING = ResourceVector(0, 0, 0, 0)


class NodeShape(NamedTuple):
    """Resources of an empty node. A plain task takes the share of one worker; so does a task for each unset need."""

    total: ResourceVector
    worker_share: ResourceVector

    @classmethod
    def of(cls, slots: int, node: Node) -> NodeShape:
        """Shape of *node* with *slots* workers. A node smaller than the share of one worker has one all the same."""
        cores, memory = round(node.worker_cores * _MILLIONTHS), node.worker_memory
        return cls(
            ResourceVector(
                slots,
                max(round(node.cores * _MILLIONTHS), slots * cores),
                max(node.memory, slots * memory),
                node.accelerators,
            ),
            ResourceVector(1, cores, memory, 1 if node.accelerators else 0),
        )

    def demand(self, needs: Needs) -> ResourceVector:
        """Resources that a task with *needs* takes on this node."""
        share = self.worker_share
        return ResourceVector(
            1,
            share.cores if needs.cores < 0 else round(needs.cores * _MILLIONTHS),
            share.memory if needs.memory < 0 else needs.memory,
            share.accelerators if needs.accelerators < 0 else needs.accelerators,
        )

    def tasks_per_node(self, needs: Needs) -> int:
        """Number of tasks with *needs* that the empty node runs at a time; 0 if it can run none."""
        return self.total.count(self.demand(needs))


def needs_of(resources: Resources) -> Needs:
    """*resources* as they travel with a task."""
    cores, memory, gpus, priority = resources
    return Needs(
        -1.0 if cores is None else float(cores),
        -1 if memory is None else memory,
        -1 if gpus is None else int(gpus),
        math.inf if priority is None else float(priority),
    )


def slots_needed(tasks: Mapping[Optional[Resources], int], shape: NodeShape) -> int:
    """Slots that *tasks* need on nodes of *shape* to run all at the same time, as `slots_of_needs` counts them.

    Args:
        tasks: number of tasks with each of the distinct resources; None for tasks without any.
        shape: of every node, as far as is known.
    """
    needs = [(None if resources is None else needs_of(resources), count) for resources, count in tasks.items()]
    return slots_of_needs(needs, shape)


def slots_of_needs(tasks: Iterable[tuple[Optional[Needs], int]], shape: NodeShape) -> int:
    """Slots that *tasks*, each kind of needs with its number, take on nodes of *shape* to run all at the same time.

    A task with half of a node's memory counts for half of its slots, though it takes one worker. A task that fits no
    such node counts for a whole one: a further block may have larger nodes, and the interchange fails the task once
    it is sure that none has.
    """
    slots = Fraction(0)
    for needs, count in tasks:
        if needs is None:
            slots += count
        elif count:
            slots += Fraction(count * shape.total.workers, shape.tasks_per_node(needs) or 1)
    return math.ceil(slots)
