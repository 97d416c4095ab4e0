"""Demand of all clients of a pool, from the reports of its interchange. No I/O.

::

    PoolReport ──> on_report ──┬──> tasks, submissions, ends ────────────┐
                               └──> number of tasks by needs ──┐         ├──> of() ──> Demand ──> strategy
    a manager connects ──> on_node ──> shape of a node ────────┴─ slots ─┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.callbacks import Demand
from cnflow.tasks.node_shape import NodeShape, slots_of_needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.manager_messages import ManagerInfo, Needs


class PoolDemand:
    """Tasks of a pool, and what they need. Written by the thread of the interchange's client, read by any.

    Args:
        shape: of a node, as far as settings say, until the first manager has connected.
    """

    def __init__(self, shape: NodeShape) -> None:
        self._shape = shape
        self._tasks = self._submitted = self._finished = 0
        self._needs: Sequence[tuple[Needs | None, int]] = ()

    def on_node(self, info: ManagerInfo) -> None:
        """Learn the shape of a node from a manager that connected."""
        self._shape = NodeShape.of(info.slots, info.node)

    def on_report(self, tasks: int, submitted: int, finished: int, needs: Sequence[tuple[Needs | None, int]]) -> None:
        """Take the numbers of a report: unfinished *tasks*, totals, and the unfinished ones with *needs*."""
        self._tasks, self._submitted, self._finished, self._needs = tasks, submitted, finished, needs

    @property
    def tasks(self) -> int:
        """Unfinished tasks."""
        return self._tasks

    def current(self) -> Demand:
        """Return the present demand."""
        needy = sum(count for _, count in self._needs)
        slots = max(0, self._tasks - needy) + slots_of_needs(self._needs, self._shape)
        return Demand(self._tasks, self._submitted, self._finished, slots)
