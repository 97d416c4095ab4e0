"""Parsl's task record: cnflow's, with the states of Parsl."""

from __future__ import annotations

from cnflow.compat.parsl.states import STATE_OF, States
from cnflow.dataflow.task_record import TaskRecord


class ParslTaskRecord(TaskRecord):
    """Record of a task in a run that was loaded by Parsl's `load`."""

    __slots__ = ()

    @property
    def status(self) -> States:  # type: ignore[override]  # numbers of the two mean different things
        """State of the task, by Parsl's names; a cached result is exec_done as well."""
        return STATE_OF[super().status]
