"""Tasks that say the same of their needs, and the order of their turns; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.ids import TaskId

if TYPE_CHECKING:
    from collections import deque

    from cnflow.ids import ManagerId
    from cnflow.wire.manager_messages import Needs
    from cnflow.wire.messages import Task, TaskParcel

_LOOKED_AT = 4096
"""Tasks whose turn is looked at in one go."""

Key = tuple[float, TaskId]
"""Priority, then the order of submission."""


class Group:
    """Waiting tasks of one function with the same needs and walltime."""

    __slots__ = ("candidates", "example", "is_stuck", "needs", "tasks")

    def __init__(self, needs: Needs, example: Task) -> None:
        self.needs = needs
        self.example = example
        self.tasks: list[tuple[TaskId, int, TaskParcel]] = []  # a heap
        self.is_stuck = False  # it fitted nowhere; only a node that changed since can be of use
        self.candidates: list[ManagerId] = []  # of this round, last one first

    @property
    def key(self) -> Key:
        """Whose turn the turn of its first is."""
        return self.needs.priority, self.tasks[0][0]


def leading_in(queue: deque[TaskParcel], key: Key) -> int:
    """How many at the head of *queue* come before *key*."""
    count = 0
    for task, _ in queue:
        if (math.inf, task.id) > key or count == _LOOKED_AT:
            break
        count += 1
    return count


def insert(heads: list[tuple[Key, Group]], head: tuple[Key, Group]) -> None:
    """Keep *heads* in order, the first to go last."""
    at = len(heads)
    while at and heads[at - 1][0] < head[0]:
        at -= 1
    heads.insert(at, head)
