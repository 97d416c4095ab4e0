from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from cnflow.dataflow.actions import AttemptEnd, AttemptResult
from cnflow.dataflow.retry import classify_failure
from cnflow.dataflow.staging_table import Arrival, StagingTable
from cnflow.dataflow.state import TaskGraphState
from cnflow.errors import ItemLostError, StagingError
from cnflow.model.events import FileEvent, TaskEvent
from cnflow.model.task import StagingNote, TaskState
from cnflow.testing import FakeClock

URL = "ftp://ann:secret@host/x.bin"


class Run:
    """A table, and the records and states that it looks at."""

    def __init__(self):
        self.records, self.states, self.events, self.clock = {}, {}, [], FakeClock()
        self.table = StagingTable(self.records, self.states.get, self.events.append, self.clock)

    def add(self, task, *depends, state=TaskState.WAITING):
        future = Future()
        future.tid = task
        app = SimpleNamespace(name="f")
        record = SimpleNamespace(future=future, depends=depends, app=app, executor="x", try_id=0, error=None)
        self.records[task], self.states[task] = record, state
        return record

    def state(self, task):
        return self.table.state_of(self.records[task], self.states[task])

    def told(self):
        return [event.state for event in self.events if isinstance(event, TaskEvent)]

    def files(self):
        return [(event.direction, event.url, event.state) for event in self.events if isinstance(event, FileEvent)]


@pytest.fixture
def run():
    return Run()


def test_task_that_waits_for_copies_alone_is_staging_in(run):
    copy, other = Future(), Future()
    record = run.add(1, copy, other)
    run.table.expect(record, [Arrival(URL, copy, None)])
    assert run.state(1) is TaskState.WAITING
    other.set_result(0)
    assert run.state(1) is TaskState.STAGING_IN
    assert run.told() == ["staging_in"]
    assert run.table.lines(1) == ["brings ftp://***@host/x.bin"]
    copy.set_result(0)
    assert run.state(1) is TaskState.WAITING
    assert [state for _, _, state in run.files()] == ["moving", "moved"]


def test_copy_of_what_another_task_makes_is_not_begun_before_that(run):
    copy, parent = Future(), Future()
    run.table.expect(run.add(1, copy), [Arrival(URL, copy, parent)])
    assert run.state(1) is TaskState.WAITING
    parent.set_result(0)
    assert run.state(1) is TaskState.STAGING_IN


def test_notes_of_a_node_give_state_bytes_and_rate(run):
    run.add(1, state=TaskState.LAUNCHED)
    for seconds, done in ((0.0, 0), (2.0, 4000), (2.0, 8000)):
        run.clock.advance(seconds)
        run.table.on_note(StagingNote(1, TaskState.STAGING_IN, URL, done, 16000, "n1"))
    assert run.state(1) is TaskState.STAGING_IN
    assert run.table.lines(1) == ["brings ftp://***@host/x.bin on n1: 8 kB of 16 kB, 2 kB a second"]
    assert run.table.totals() == (1, 8000, 2000.0)
    run.table.on_note(StagingNote(1, TaskState.RUNNING, host="n1"))
    run.table.on_note(StagingNote(1, TaskState.STAGING_OUT, URL))
    assert run.told() == ["staging_in", "running", "staging_out"]
    masked = "ftp://***@host/x.bin"
    assert run.files() == [("in", masked, "moving"), ("in", masked, "moved"), ("out", masked, "moving")]
    moved = run.events[2]
    assert (moved.size, moved.seconds, moved.host, moved.attempt) == (16000, 4.0, "n1", 0)
    assert run.table.lines(1) == ["takes away ftp://***@host/x.bin"]
    run.table.on_attempts_ended([AttemptEnd(1, AttemptResult.NOT_STAGED)])
    assert run.files()[3:] == [("out", masked, "failed")]


def test_counts_are_those_of_public_states(run):
    run.add(1, state=TaskState.LAUNCHED)
    run.table.on_note(StagingNote(1, TaskState.RUNNING))
    counts = {**dict.fromkeys(TaskState, 0), TaskState.LAUNCHED: 3}
    found = run.table.counts(counts)
    assert (found[TaskState.LAUNCHED], found[TaskState.RUNNING]) == (2, 1)
    assert counts[TaskState.LAUNCHED] == 3


def test_note_ends_with_its_attempt_and_the_table_with_its_tasks(run):
    record = run.add(1, state=TaskState.LAUNCHED)
    run.table.on_note(StagingNote(1, TaskState.RUNNING))
    run.table.on_attempts_ended([AttemptEnd(1, AttemptResult.LOST)])
    assert run.state(1) is TaskState.LAUNCHED
    run.table.on_note(StagingNote(1, TaskState.RUNNING))
    record.future.set_result(0)
    assert run.table._steps == {}
    run.table.on_note(StagingNote(2, TaskState.RUNNING))  # of a task that is gone
    assert run.table._steps == {}


def test_failure_to_move_a_file_has_a_budget_of_its_own():
    state = TaskGraphState()
    state.on_submitted(0, (), 1, stagings=2)
    ends = [AttemptResult.NOT_STAGED, AttemptResult.FAILED, AttemptResult.NOT_STAGED]
    assert [state.on_attempts_ended([AttemptEnd(0, end)]).launch for end in ends] == [[0], [0], [0]]
    assert state.on_attempts_ended([AttemptEnd(0, AttemptResult.NOT_STAGED)]).final == [(0, TaskState.FAILED)]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (StagingError("no route"), AttemptResult.NOT_STAGED),
        (StagingError("404", is_final=True), AttemptResult.GIVEN_UP),
        (ItemLostError("gone"), AttemptResult.FAILED),
    ],
)
def test_staging_error_is_tried_again_unless_that_would_not_help(error, result):
    assert classify_failure(error, closed=False, cancelling=False) is result
