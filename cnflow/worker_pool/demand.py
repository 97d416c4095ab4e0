"""Demand of all clients of a pool, from the reports of its interchange. No I/O.

::

    PoolReport ──> on_report ──> number of tasks by needs ──┬──> current ──> Demand ──> strategy
    a manager connects ──> on_node ──> shape of a node ─────┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.callbacks import Demand
from cnflow.tasks.node_shape import NodeShape, slots_of_needs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.manager_messages import ManagerInfo, PoolReport, QueuedNeeds


class PoolDemand:
    """Tasks of a pool, and what they need. Written by the thread of the interchange's client, read by any.

    Args:
        shape: of a node, as far as settings say, until the first manager has connected.
    """

    def __init__(self, shape: NodeShape) -> None:
        self._shape = shape
        self._submitted = self._ended = 0
        self._needs: Sequence[QueuedNeeds] = ()

    def on_node(self, info: ManagerInfo) -> None:
        """Learn the shape of a node from a manager that connected."""
        self._shape = NodeShape.of(info.slots, info.node)

    def on_report(self, report: PoolReport) -> None:
        """Take the numbers of a report."""
        self._submitted, self._ended, self._needs = report.submitted, report.ended, report.needs

    @property
    def tasks(self) -> int:
        """Unfinished tasks."""
        return sum(each.unfinished for each in self._needs)

    def current(self) -> Demand:
        """Return the present demand."""
        needs = self._needs
        tasks = sum(each.unfinished for each in needs)
        slots = slots_of_needs(((each.needs, each.unfinished) for each in needs), self._shape)
        return Demand(tasks, self._submitted, self._ended, slots)
