"""Reports the changes of a task's state to the run's sinks and to the log. Called only where there is either."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from cnflow.dataflow import state_log
from cnflow.dataflow.futures.origin import origin_of
from cnflow.model.events import TaskEvent
from cnflow.model.task import TaskState
from cnflow.text import describe_safely

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.actions import Effects, Settlement
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.interfaces.sink import Emit


def report_submitted(emit: Emit | None, record: TaskRecord) -> None:
    """Report that the task of *record* is there; *emit* is None where there is no sink."""
    if state_log.is_enabled():
        state_log.log_state(record.future.tid, record.app.name, TaskState.WAITING)
    if emit is not None:
        emit(event_of(record, TaskState.WAITING))


def report_effects(emit: Emit | None, effects: Effects, records: Mapping[TaskId, TaskRecord]) -> None:
    """Report the changes of state that *effects* is about to make."""
    if state_log.is_enabled():
        state_log.log_effects(effects, records)
    if emit is None:
        return
    for settlement in effects.settlements:
        is_failure = settlement.state in {TaskState.FAILED, TaskState.DEPENDENCY_FAILED}
        reason = _reason_of(settlement) if is_failure else ""
        emit(msgspec.structs.replace(event_of(settlement.record, settlement.state, reason), **_place_of(settlement)))
    for task in effects.launch:
        record = records.get(task)
        if record is not None:
            emit(event_of(record, TaskState.LAUNCHED))


def _reason_of(settlement: Settlement) -> str:
    """Describe the error; by the text that was made where the task ran, if there is one."""
    if settlement.state is TaskState.FAILED and settlement.record.failures:
        return settlement.record.failures[-1]
    return describe_safely(settlement.value)


def _place_of(settlement: Settlement) -> dict[str, str | float]:
    origin = origin_of(settlement.future)
    place = origin.place
    times = {"started": origin.started or 0.0, "ended": origin.ended or 0.0}
    return {"block": place.block, "manager": place.manager, "host": place.host, **times}


def event_of(record: TaskRecord, state: TaskState, reason: str = "") -> TaskEvent:
    """Return the event of the task of *record* that is in *state* now."""
    return TaskEvent(
        time=time.time(),
        task=record.future.tid,
        state=state.name.lower(),
        app=record.app.name,
        executor=record.executor,
        attempt=record.fail_count,
        reason=reason,
    )
