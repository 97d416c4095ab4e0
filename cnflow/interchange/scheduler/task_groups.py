"""Groups of waiting tasks with the same needs, walltime and function. No I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.ids import ManagerId, TaskId

if TYPE_CHECKING:
    from cnflow.interchange.scheduler.plain_queue import PlainQueue
    from cnflow.wire.manager_messages import Needs
    from cnflow.wire.messages import Task, TaskParcel

_MAX_COUNT = 4096
"""Tasks that `count_before` counts at most."""

SortKey = tuple[float, TaskId]
"""Priority, then order of submission."""


class TaskGroup:
    """Waiting tasks with the same needs, walltime and function: if the first fits no node, none of them does.

    Attributes:
        example: any task of the group.
        tasks: heap of id, tie breaker and parcel.
        is_stuck: the first fitted no node; only nodes that changed since need to be tried.
        candidates: managers to try in this round, the next one last.
    """

    __slots__ = ("candidates", "example", "is_stuck", "needs", "tasks")

    def __init__(self, needs: Needs, example: Task) -> None:
        self.needs = needs
        self.example = example
        self.tasks: list[tuple[TaskId, int, TaskParcel]] = []
        self.is_stuck = False
        self.candidates: list[ManagerId] = []

    @property
    def key(self) -> SortKey:
        """Sort key: priority and id of the group's first task."""
        return self.needs.priority, self.tasks[0][0]


def count_before(queue: PlainQueue, key: SortKey) -> int:
    """Number of plain tasks at the head of *queue* that sort before *key*; at most 4096."""
    count = 0
    for task, _ in queue:
        if (math.inf, task.id) > key or count == _MAX_COUNT:
            break
        count += 1
    return count


def insert_sorted(heads: list[tuple[SortKey, TaskGroup]], head: tuple[SortKey, TaskGroup]) -> None:
    """Insert *head* into *heads*, which are sorted so that the next is last."""
    at = len(heads)
    while at and heads[at - 1][0] < head[0]:
        at -= 1
    heads.insert(at, head)
