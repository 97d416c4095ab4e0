"""Makes the events of single files of tasks, of the notes and copies that the table of staging follows.

::

    first note of a file ──> moving ──next file, next state, or the attempt's end──> moved, or failed with the attempt
    copy that a task waits for ──> moving, once its maker is done ──> moved, or failed with its error
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.actions import AttemptResult
from cnflow.dataflow.retry import error_of, has_failed
from cnflow.model.events import FileEvent
from cnflow.model.task import TaskState
from cnflow.text import describe_safely, mask_url, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from cnflow.dataflow.staging_table import Arrival
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces.sink import Emit
    from cnflow.model.task import StagingNote

_DIRECTIONS = {TaskState.STAGING_IN: "in", TaskState.STAGING_OUT: "out"}
_LONGEST_REASON = 500


def report_begin(emit: Emit, record: TaskRecord, note: StagingNote) -> None:
    """Report that the file of *note*, the first on it, is moved."""
    _report(emit, record, note, "moving")


def report_end(emit: Emit, record: TaskRecord, note: StagingNote, seconds: float, result: AttemptResult) -> None:
    """Report the end of the file of *note*, the last on it: an attempt with *result* goes on, or is over."""
    if result is AttemptResult.DONE:
        _report(emit, record, note, "moved", seconds)
    else:
        error = record.error
        _report(emit, record, note, "failed", seconds, "" if error is None else describe_safely(error))


def follow_copies(emit: Emit, record: TaskRecord, arrivals: Iterable[Arrival]) -> None:
    """Report the copies that the task of *record* waits for."""
    for arrival in arrivals:
        event = _of_copy(record, arrival.url, "moving")
        if arrival.parent is None:
            emit(event)
        arrival.copy.add_done_callback(functools.partial(_on_copied, emit, record, arrival.url, event.time))


def _on_copied(emit: Emit, record: TaskRecord, url: str, begun: float, copy: Future[Any]) -> None:
    if has_failed(copy):
        event = _of_copy(record, url, "failed")
        event.reason = shortened(mask_url(describe_safely(error_of(copy))), _LONGEST_REASON)
    else:
        event = _of_copy(record, url, "moved")
        event.seconds = event.time - begun
    emit(event)


def _of_copy(record: TaskRecord, url: str, state: str) -> FileEvent:
    number = record.future.tid
    return FileEvent(
        time=time.time(), task=number, attempt=record.try_id, direction="in", url=mask_url(url), state=state
    )


def _report(
    emit: Emit, record: TaskRecord, note: StagingNote, state: str, seconds: float = -1.0, reason: str = ""
) -> None:
    direction = _DIRECTIONS.get(note.state)
    if direction is None or not note.url:
        return  # not of one file
    event = FileEvent(
        time=time.time(),
        task=note.task,
        attempt=record.try_id,
        direction=direction,
        url=mask_url(note.url),
        state=state,
        size=max(note.total, note.done),
        seconds=seconds,
        host=note.host,
        reason=shortened(mask_url(reason), _LONGEST_REASON),
    )
    emit(event)
