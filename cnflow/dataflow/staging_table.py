"""Which tasks have files on their way, and how far these are. No I/O.

::

    submission ──expect──> futures of the copies that a task waits for ──┐
    node, executor ──StagingNote──> on_note: the last step of an attempt ┴──> state_of, lines, totals
                                                                              counts of the run, `cnflow explain`

    WAITING ──nothing left to wait for but copies──> STAGING_IN ──> LAUNCHED ──> STAGING_IN ──> RUNNING ──> STAGING_OUT

A task without files is never in here. A note is dropped with its attempt, all of a task with its end.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.clock import SystemClock
from cnflow.dataflow import file_events, task_events
from cnflow.dataflow.actions import AttemptResult
from cnflow.ids import TaskId
from cnflow.model.status import StagingTotals
from cnflow.model.task import StagingNote, TaskState
from cnflow.text import amount_of_memory, mask_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future

    from cnflow.clock import Clock
    from cnflow.dataflow.actions import AttemptEnd
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.interfaces.sink import Emit
    from cnflow.units import Seconds

_MOST_LINES = 5
"""Files of one task that are listed one by one."""


class Arrival(NamedTuple):
    """Copy of a file that a task waits for."""

    url: str
    copy: Future[Any]
    parent: Future[Any] | None
    """Task that makes the file; the copy is not begun before it is done."""

    @property
    def is_under_way(self) -> bool:
        """True while the copy is made."""
        return not self.copy.done() and (self.parent is None or self.parent.done())


class _Step(NamedTuple):
    note: StagingNote
    began: Seconds
    first: int
    at: Seconds


class StagingTable:
    """Steps of the staging of a run's unfinished tasks. Safe from any thread.

    Args:
        records: of the tasks that are not final.
        state_of: returns the state of a task as the state machine has it.
        emit: takes the events of tasks; None where there is no sink.
        clock: for rates.
    """

    def __init__(
        self,
        records: Mapping[TaskId, TaskRecord],
        state_of: Callable[[TaskId], TaskState | None],
        emit: Emit | None,
        clock: Clock | None = None,
    ) -> None:
        self.launched_or_waiting = state_of
        self._records = records
        self._emit = emit
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._arrivals: dict[TaskId, tuple[Arrival, ...]] = {}
        self._steps: dict[TaskId, _Step] = {}

    # Events

    def expect(self, record: TaskRecord, arrivals: Iterable[Arrival]) -> None:
        """Note the copies that the task of *record* waits for."""
        task = record.future.tid
        with self._lock:
            expected = self._arrivals[task] = tuple(arrivals)
        record.future.add_done_callback(lambda _: self._forget(task))
        if self._emit is not None:
            file_events.follow_copies(self._emit, record, expected)
            reported = threading.Event()
            for future in (None, *record.depends):
                if future is None:
                    self._report_arrivals(record, reported)
                else:
                    future.add_done_callback(lambda _: self._report_arrivals(record, reported))

    def on_note(self, note: StagingNote) -> None:
        """Note a step of the present attempt at a task."""
        now, task, record = self._clock.now(), note.task, self._records.get(note.task)
        if record is None:
            return
        with self._lock:
            before = self._steps.get(task)
            is_new = before is None or (before.note.state, before.note.url) != (note.state, note.url)
            if before is None or is_new:
                self._steps[task] = _Step(note, now, max(note.done, 0), now)
            else:
                self._steps[task] = before._replace(note=note, at=now)
        if before is None:
            record.future.add_done_callback(lambda _: self._forget(task))
        if self._emit is None:
            return
        if is_new and before is not None:
            file_events.report_end(self._emit, record, before.note, now - before.began, AttemptResult.DONE)
        if before is None or before.note.state is not note.state:
            self._emit(task_events.event_of(record, note.state))
        if is_new:
            file_events.report_begin(self._emit, record, note)

    def on_attempts_ended(self, ends: Iterable[AttemptEnd]) -> None:
        """Drop the notes of attempts that have ended."""
        if not self._steps:
            return
        with self._lock:
            popped = [(end, self._steps.pop(end.task, None)) for end in ends]
        for end, step in popped if self._emit is not None else ():
            record = self._records.get(end.task)
            if self._emit is not None and step is not None and record is not None:
                file_events.report_end(self._emit, record, step.note, self._clock.now() - step.began, end.result)

    def _forget(self, task: TaskId) -> None:
        with self._lock:
            self._arrivals.pop(task, None)
            self._steps.pop(task, None)

    def _report_arrivals(self, record: TaskRecord, reported: threading.Event) -> None:
        if self._emit is not None and not reported.is_set() and self._waits_for_copies_alone(record):
            reported.set()
            self._emit(task_events.event_of(record, TaskState.STAGING_IN))

    # Queries

    def state_of(self, record: TaskRecord | None, state: TaskState | None) -> TaskState | None:
        """Return the public state of the task of *record*, which the state machine has in *state*."""
        if record is None or not (self._arrivals or self._steps):
            return state
        if state is TaskState.LAUNCHED:
            step = self._steps.get(record.future.tid)
            return state if step is None else step.note.state
        if state is TaskState.WAITING and self._waits_for_copies_alone(record):
            return TaskState.STAGING_IN
        return state

    def counts(self, counts: Mapping[TaskState, int]) -> dict[TaskState, int]:
        """Return *counts*, those of the state machine, with the tasks of this table in their public states."""
        found = dict(counts)
        for task in {*self._arrivals, *self._steps}:
            before = self.launched_or_waiting(task)
            after = self.state_of(self._records.get(task), before)
            if before is not None and after is not None and after is not before:
                found[before] -= 1
                found[after] += 1
        return found

    def lines(self, task: TaskId) -> list[str]:
        """Describe the files of *task* that are on their way, for people."""
        step = self._steps.get(task)
        found = [] if step is None else [_line_of(step)]
        arrivals = [each for each in self._arrivals.get(task, ()) if each.is_under_way]
        found += [f"brings {mask_url(each.url)}{self._progress_of(each.copy)}" for each in arrivals[:_MOST_LINES]]
        if len(arrivals) > _MOST_LINES:
            found.append(f"and {len(arrivals) - _MOST_LINES} more files")
        return found

    def totals(self) -> StagingTotals:
        """Sum up what is on its way."""
        with self._lock:
            steps = [step for step in self._steps.values() if step.note.url]
            arrivals = [each for waits in self._arrivals.values() for each in waits if each.is_under_way]
        return StagingTotals(
            len(steps) + len(arrivals),
            sum(max(step.note.done, 0) for step in steps),
            sum(_rate_of(step) for step in steps),
        )

    def _progress_of(self, copy: Future[Any]) -> str:
        """Describe how far a copy is: one that its maker describes, or that a task of its own makes."""
        if callable(describe := getattr(copy, "describe_progress", None)):
            return f": {describe()}"
        step = self._steps.get(getattr(copy, "tid", TaskId(-1)))
        return "" if step is None else f"{_at(step.note)}{_amount_of(step)}"

    def _waits_for_copies_alone(self, record: TaskRecord) -> bool:
        arrivals = self._arrivals.get(record.future.tid)
        if not arrivals:
            return False
        copies = {id(each.copy): each for each in arrivals}
        left = [future for future in record.depends if not future.done()]
        return bool(left) and all(id(each) in copies and copies[id(each)].is_under_way for each in left)


def _rate_of(step: _Step) -> float:
    passed = step.at - step.began
    return (step.note.done - step.first) / passed if passed > 0 and step.note.done > step.first else 0.0


def _line_of(step: _Step) -> str:
    note = step.note
    if note.state is TaskState.RUNNING:
        return f"runs{_at(note)}, after its files were brought"
    verb = "brings" if note.state is TaskState.STAGING_IN else "takes away"
    return f"{verb} {mask_url(note.url) or 'its files'}{_at(note)}{_amount_of(step)}"


def _amount_of(step: _Step) -> str:
    note = step.note
    if note.done < 0:
        return f": {amount_of_memory(note.total)}" if note.total >= 0 else ""
    whole = f" of {amount_of_memory(note.total)}" if note.total >= 0 else ""
    speed = f", {amount_of_memory(int(rate))} a second" if (rate := _rate_of(step)) else ""
    return f": {amount_of_memory(note.done)}{whole}{speed}"


def _at(note: StagingNote) -> str:
    return f" on {note.host}" if note.host else ""
