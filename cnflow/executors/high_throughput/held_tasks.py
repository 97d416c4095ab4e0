"""Unfinished tasks of an executor: as little of each as it takes to send it again. No I/O.

::

    submit ──serialized──┬── arguments that cannot change ──> the call is kept, and serialized once more ───┐
                         └── any others ──> the parcel is kept: they may be others by now ──────────────────┴──> sent
                                                                     again, to an interchange that was restarted
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.task import NO_OPTIONS, TaskToRun
from cnflow.tasks.arguments import ATOMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.executors.high_throughput.serialization import TaskSerializer
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.ids import TaskId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import ResultParcel, TaskParcel

NO_PLACES: Mapping[str, str] = MappingProxyType({})


class HeldTask(NamedTuple):
    """A task that is not reported."""

    function: Function
    attempt: int
    content: TaskToRun | TaskParcel
    """The call, or the parcel that was made of it."""

    places: Mapping[str, str] = NO_PLACES
    """Paths in the driver for items that it leaves, by their names."""

    def serialized(self, serializer: TaskSerializer) -> SerializedTask:
        """Return the task as it was sent."""
        content = self.content
        if isinstance(content, TaskToRun):
            return serializer.serialize(content, self.attempt)
        return self.function, content


def hold(task: TaskToRun, serialized: SerializedTask, attempt: int) -> HeldTask:
    """Return what to keep of *task*, which was *serialized*."""
    function, parcel = serialized
    is_call_enough = (
        not parcel[1]
        and task.kept is None
        and task.options is NO_OPTIONS
        and ATOMS.issuperset(map(type, task.args))
        and (not task.kwargs or ATOMS.issuperset(map(type, task.kwargs.values())))
    )
    return HeldTask(function, attempt, task if is_call_enough else parcel, task.places)


def of_present_attempts(parcels: Iterable[ResultParcel], held: Mapping[TaskId, HeldTask]) -> list[ResultParcel]:
    """Return those of *parcels* that are results of the present attempts of the tasks in *held*."""
    get = held.get
    return [
        parcel for parcel in parcels if (task := get(parcel[0].id)) is not None and task.attempt == parcel[0].attempt
    ]


def holds(held: Mapping[TaskId, HeldTask], task: TaskId, attempt: int) -> bool:
    """Return True if that is the present attempt of a task in *held*."""
    found = held.get(task)
    return found is not None and found.attempt == attempt
