"""Reports the changes of a task's state to the run's sinks and to the log. Called only where there is either.

::

    record ──report_submitted──┬> row of SubmittedTasks: waits for nothing, has no options; it is launched, too
                               └> SubmittedEvent
    effects ──report_effects──┬> row of DoneTasks: done, and not from the cache
                              ├> TaskEvent: launched, done, failed, cancelled, dependency_failed
                              └> FailureEvent for each try that failed, before the event of the state that follows

Rows are for speed: a task that does nothing takes some 30 microseconds of the driver, and 3 of them would be events.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import state_log
from cnflow.dataflow.argument_summary import summarize_arguments
from cnflow.dataflow.call_options import NO_CALL_OPTIONS
from cnflow.dataflow.failure_events import failure_event
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.futures.origin import origin_of
from cnflow.model.events import SubmittedEvent, TaskEvent
from cnflow.model.file import File
from cnflow.model.task import AppKind, TaskState
from cnflow.text import describe_safely, mask_url, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.dataflow.actions import Effects, Settlement
    from cnflow.dataflow.call_options import CallOptions
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId
    from cnflow.monitoring.hub import EventHub

# ruff: noqa: SLF001 - public names of a future would hide a result's

_DONE = TaskState.DONE
_LONGEST_REASON = 2_000
_MOST_FILES = 100
_FILES = (File, DataFuture)
_NO_INPUTS = frozenset({"inputs", "outputs", "stderr", "stdout"})
_FAILURES = frozenset({TaskState.FAILED, TaskState.DEPENDENCY_FAILED})


def report_submitted(hub: EventHub | None, record: TaskRecord, image: str = "", *, is_launched: bool = True) -> bool:
    """Report that the task of *record* is there, and return True if its launch is reported with that.

    Args:
        hub: takes events; None where there is no sink.
        record: of the task.
        image: reference of its app's image.
        is_launched: the task is launched at once if it waits for nothing.
    """
    is_logged = state_log.is_enabled()
    if is_logged:
        state_log.log_state(record.future.tid, record.app.name, TaskState.WAITING)
    if hub is None:
        return False
    if is_logged or not is_launched or not _is_plain(record):
        hub.emit(_submitted_event(record, image))
        return False
    app, args, kwargs = record.app, record.args, record.kwargs
    arguments = summarize_arguments(args, kwargs) if args or kwargs else ""
    hub.add_row((time.time(), record.future.tid, app.name, record.executor, image, arguments))
    return True


def _is_plain(record: TaskRecord) -> bool:
    """Return True if a row is all that there is to say about the submission of the task of *record*."""
    return (
        not record.depends
        and record.call_options is NO_CALL_OPTIONS
        and not record.memoize
        and record.app.kind is not AppKind.JOIN
        and not _may_hold_files(record)
    )


def report_effects(hub: EventHub | None, effects: Effects, records: Mapping[TaskId, TaskRecord]) -> None:
    """Report the changes of state that *effects* is about to make."""
    if state_log.is_enabled():
        state_log.log_effects(effects, records)
    if hub is None:
        return
    now, emit = time.time(), hub.emit
    for settlement in effects.settlements:
        record, state = settlement.record, settlement.state
        if state is _DONE and record.memo_key is None and not (future := record.future)._cached:
            name, executor, attempt = record.app.name, record.executor, record.try_id
            place, ended, seconds = future._place, future._stopped, future._seconds
            hub.add_row((now, future.tid, name, executor, attempt, place, ended, seconds, future._worker))
            continue
        if state is TaskState.FAILED and record.error is not None:
            emit(failure_event(record, record.try_id, is_retried=False))
        emit(_final_event(settlement))
    for task in effects.launch:
        waiting = records.get(task)
        if waiting is None:
            continue
        attempt = len(waiting.failures)
        if attempt > waiting.try_id and waiting.error is not None:  # else it is launched again without a new failure
            emit(failure_event(waiting, attempt - 1, is_retried=True))
        emit(event_of(waiting, TaskState.LAUNCHED, attempt))


def event_of(record: TaskRecord, state: TaskState, attempt: int | None = None) -> TaskEvent:
    """Return the event of the task of *record* that is in *state* now, in try number *attempt*, or the present one."""
    return TaskEvent(
        time=time.time(),
        task=record.future.tid,
        state=_NAMES[state],
        app=record.app.name,
        executor=record.executor,
        attempt=record.try_id if attempt is None else attempt,
    )


_NAMES = {state: state.name.lower() for state in TaskState}


def _final_event(settlement: Settlement) -> TaskEvent:
    record, state = settlement.record, settlement.state
    future = record.future
    origin = origin_of(future)
    place = origin.place
    return TaskEvent(
        time=time.time(),
        task=future.tid,
        state=_NAMES[state],
        app=record.app.name,
        executor=record.executor,
        attempt=record.try_id,
        reason=_reason_of(settlement) if state in _FAILURES else "",
        block=place.block,
        manager=place.manager,
        host=place.host,
        worker=future._worker,
        started=origin.started or 0.0,
        ended=origin.ended or 0.0,
        is_memoized=future._cached,
        key=record.hashsum or "",
    )


def _reason_of(settlement: Settlement) -> str:
    """Describe the error; by the text that was made where the task ran, if there is one."""
    if settlement.state is TaskState.FAILED and settlement.record.failures:
        return shortened(mask_url(settlement.record.failures[-1]), _LONGEST_REASON)
    return shortened(mask_url(describe_safely(settlement.value)), _LONGEST_REASON)


def _submitted_event(record: TaskRecord, image: str) -> SubmittedEvent:
    event = SubmittedEvent(
        time=time.time(),
        task=record.future.tid,
        app=record.app.name,
        executor=record.executor,
        arguments=summarize_arguments(record.args, record.kwargs) if record.args or record.kwargs else "",
        image=image,
        memoize=record.memoize,
        joins=record.app.kind is AppKind.JOIN,
    )
    if record.depends:
        event.depends = _tasks_of(record.depends)
    options = record.call_options
    if options is not NO_CALL_OPTIONS:
        _add_options(event, options)
    if record.args or record.kwargs or options.inputs:
        named = (value for name, value in record.kwargs.items() if name not in _NO_INPUTS)
        event.inputs = _urls_of((*record.args, *named, *options.inputs))
    return event


def _may_hold_files(record: TaskRecord) -> bool:
    if not record.args and not record.kwargs:
        return False
    return any(isinstance(value, _FILES) for value in (*record.args, *record.kwargs.values()))


def _tasks_of(futures: Iterable[Any]) -> tuple[int, ...]:
    own = (each.parent if isinstance(each, DataFuture) else each for each in futures)
    ids = (each.__dict__.get("tid") for each in own)
    return tuple(dict.fromkeys(each for each in ids if isinstance(each, int)))


def _add_options(event: SubmittedEvent, options: CallOptions) -> None:
    event.outputs = _urls_of(options.outputs)
    event.stdout, event.stderr = _stream_of(options.stdout), _stream_of(options.stderr)
    if options.walltime is not None:
        event.walltime = options.walltime
    needs = options.resources
    if needs is not None:
        event.cores = -1.0 if needs.cores is None else needs.cores
        event.memory = -1 if needs.memory is None else needs.memory
        event.gpus = -1.0 if needs.gpus is None else float(needs.gpus)
        event.priority = needs.priority or 0.0


def _urls_of(files: Iterable[Any]) -> tuple[str, ...]:
    found = []
    for each in files:
        file = each.__dict__.get("file_obj") if isinstance(each, DataFuture) else each
        if isinstance(file, File):
            found.append(mask_url(file.url))
        if len(found) == _MOST_FILES:
            break
    return tuple(found)


def _stream_of(stream: Any) -> str:  # noqa: ANN401 - a Stream, a DataFuture, or None
    if isinstance(stream, tuple):
        stream = stream[0] if stream else None
    if isinstance(stream, DataFuture):
        stream = stream.__dict__.get("file_obj")
    if isinstance(stream, File):
        return mask_url(stream.url)
    if not isinstance(stream, (str, os.PathLike)):
        return ""
    try:
        return mask_url(os.fsdecode(stream))
    except Exception:  # noqa: BLE001 - a user's own class of paths
        return ""
