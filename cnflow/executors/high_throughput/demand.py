"""Counts the tasks of an executor by what they need, and the slots that they would take to run all at once. No I/O.

::

    submit ──> add ──────┐    number of tasks, number by distinct resources
    reported ──> remove ─┼──> and rows of calls of models (`call_demand`) ────┐
                         │                                                    ├── slots_needed ──> Demand ──> strategy
    a manager connects ──┴──> shape of a node (expected from the settings ────┘
                              until the first one has)

Any other task is not looked at: it counts for one slot.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cnflow.blocks.callbacks import Demand
from cnflow.executors.high_throughput.block_requests import accelerators, expected_slots
from cnflow.tasks.call_demand import CallDemand
from cnflow.tasks.node_shape import NodeShape, slots_needed
from cnflow.units import GIB
from cnflow.wire.manager_messages import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.config import HighThroughputExecutor
    from cnflow.ids import TaskId
    from cnflow.model.resources import Resources
    from cnflow.model.task import AppFunction, Outcome, TaskToRun
    from cnflow.wire.manager_messages import ManagerInfo

_PLENTY = 2**60
"""Bytes: memory of a node of which only a connected manager can report it, so that it limits no task before."""


class TaskDemand:
    """Resources of the tasks that are not reported yet. Used under the executor's lock, but for `on_node`.

    Args:
        settings: of the executor.
    """

    def __init__(self, settings: HighThroughputExecutor) -> None:
        self._shape = expected_shape(settings, expected_slots(settings))
        self._resources: dict[TaskId, Resources] = {}
        """Resources by task, of tasks that have any."""

        self._counts: Counter[Resources | None] = Counter()
        self._calls: dict[TaskId, tuple[AppFunction, int]] = {}
        """Model and number of rows, of calls without resources."""

        self._call_demand = CallDemand()

    def on_node(self, info: ManagerInfo) -> None:
        """Learn the shape of a node from a manager that connected."""
        self._shape = NodeShape.of(info.slots, info.node)

    def on_submitted(self, task: TaskToRun) -> None:
        """Count a task that has resources, or is a call of a model."""
        if task.options.resources is not None:
            self.add(task.id, task.options.resources)
        elif task.batch is not None and task.batch.rows:
            self._calls[task.id] = task.app, task.batch.rows
            self._call_demand.add(task.app, task.app.batching, task.batch.rows)

    def on_reported(self, outcomes: Iterable[Outcome]) -> None:
        """Count the tasks of *outcomes* no more."""
        if not (self._resources or self._calls):
            return
        outcomes = list(outcomes)
        self.remove(outcome.id for outcome in outcomes)
        for outcome in outcomes if self._calls else ():
            call = self._calls.pop(outcome.id, None)
            if call is not None:
                self._call_demand.remove(*call, outcome.seconds)

    def add(self, task: TaskId, resources: Resources) -> None:
        """Count a task that needs *resources*."""
        kind = self._resources[task] = resources._replace(priority=None)
        self._counts[kind] += 1

    def remove(self, tasks: Iterable[TaskId]) -> None:
        """Count tasks no more; plain ones were never counted."""
        if not self._resources:
            return
        for task in tasks:
            kind = self._resources.pop(task, None)
            if kind is not None:
                self._counts[kind] -= 1
                if not self._counts[kind]:
                    del self._counts[kind]

    def clear(self) -> None:
        """Count no task."""
        self._resources.clear()
        self._counts.clear()
        self._calls.clear()
        self._call_demand.clear()

    def of(self, tasks: int, activity: int, finished: int) -> Demand:
        """Return the demand of *tasks* unfinished ones, those with resources, and calls of models, among them."""
        slots = tasks - len(self._resources) - len(self._calls)
        if self._calls:
            slots += self._call_demand.slots()
        if self._counts:
            slots += slots_needed(self._counts, self._shape)
        return Demand(tasks, activity, finished, slots)


def expected_shape(settings: HighThroughputExecutor, slots: int) -> NodeShape:
    """Return the shape of a node with *slots* workers, as far as *settings* say."""
    node = Node(
        cores=settings.provider.traits().cores or slots * settings.cores_per_worker,
        memory=_PLENTY,
        accelerators=len(accelerators(settings)),
        worker_cores=settings.cores_per_worker,
        worker_memory=round((settings.mem_per_worker or 0.0) * GIB),
    )
    return NodeShape.of(slots, node)
