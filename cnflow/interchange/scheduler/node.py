"""What a node has, and what the tasks on it take; pure.

All is counted in whole numbers, so that what is taken and given back leaves nothing behind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from cnflow.text import amount_of_memory

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.wire.manager_messages import ManagerInfo, Needs

_MILLIONTHS = 1_000_000


class Amount(NamedTuple):
    """Of everything that a node has."""

    workers: int
    cores: int
    """Millionths."""

    memory: int
    """Bytes."""

    accelerators: int

    def covers(self, other: Amount) -> bool:
        """Whether there is enough of each."""
        return all(mine >= theirs for mine, theirs in zip(self, other, strict=True))

    def plus(self, other: Amount, times: int = 1) -> Amount:
        """The sum of this and *times* the other."""
        return Amount(*(mine + times * theirs for mine, theirs in zip(self, other, strict=True)))


NOTHING = Amount(0, 0, 0, 0)


class NodeCapacity:
    """One node. A task that says nothing of its needs takes what each worker counts for."""

    __slots__ = ("_has", "_life", "_share", "_taken", "_tasks", "host")

    def __init__(self, info: ManagerInfo) -> None:
        node, slots = info.node, info.slots
        cores, memory = round(node.worker_cores * _MILLIONTHS), node.worker_memory
        self._life = node.life
        self.host = info.host
        self._share = Amount(1, cores, memory, 1 if node.accelerators else 0)
        # A small node has one worker nevertheless, and its task all that is there.
        self._has = Amount(
            slots,
            max(round(node.cores * _MILLIONTHS), slots * cores),
            max(node.memory, slots * memory),
            node.accelerators,
        )
        self._taken = NOTHING
        self._tasks: dict[TaskId, Amount] = {}

    @property
    def shape(self) -> tuple[Amount, Amount, float]:
        """What makes it another node than others; lives differ by how long blocks took to start."""
        return self._has, self._share, self._life // 60

    @property
    def tasks(self) -> int:
        """How many have said what they need."""
        return len(self._tasks)

    def could_hold(self, needs: Needs) -> bool:
        """Whether such a task could run here if it were alone."""
        return self._has.covers(self._demand(needs))

    def can_hold(self, needs: Needs, others: int) -> bool:
        """Whether such a task can run now, beside *others* that say nothing."""
        return self._left(others).covers(self._demand(needs))

    def room(self, others: int) -> int:
        """How many more can run now that say nothing, beside *others* of their kind."""
        left = self._left(others)
        return max(0, min(rest // each for rest, each in zip(left, self._share, strict=True) if each))

    def take(self, task: TaskId, needs: Needs) -> None:
        """Such a task is here now."""
        self._tasks[task] = self._demand(needs)
        self._taken = self._taken.plus(self._tasks[task])

    def give_back(self, task: TaskId) -> None:
        """It is no more, if it was."""
        amount = self._tasks.pop(task, None)
        if amount is not None:
            self._taken = self._taken.plus(amount, -1)

    def _left(self, others: int) -> Amount:
        return self._has.plus(self._taken, -1).plus(self._share, -others)

    def _demand(self, needs: Needs) -> Amount:
        share = self._share
        return Amount(
            1,
            share.cores if needs.cores < 0 else round(needs.cores * _MILLIONTHS),
            share.memory if needs.memory < 0 else needs.memory,
            share.accelerators if needs.accelerators < 0 else needs.accelerators,
        )

    def __str__(self) -> str:
        cores, memory, accelerators = self._has.cores / _MILLIONTHS, self._has.memory, self._has.accelerators
        life = "" if self._life == math.inf else f", {self._life:.0f} s"
        return f"{self.host}: {_told(cores, memory, accelerators)}{life}"


def _told(cores: float, memory: int, accelerators: int) -> str:
    return f"cores={cores:g}, memory={amount_of_memory(memory)}, gpus={accelerators}"


def told(needs: Needs) -> str:
    """``cores=64, memory=2 GB``: what is said, for a message."""
    said = []
    if needs.cores >= 0:
        said.append(f"cores={needs.cores:g}")
    if needs.memory >= 0:
        said.append(f"memory={amount_of_memory(needs.memory)}")
    if needs.accelerators >= 0:
        said.append(f"gpus={needs.accelerators}")
    return ", ".join(said)
