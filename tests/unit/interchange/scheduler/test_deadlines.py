"""Scheduling of tasks that may not end before their block does, through the state of the interchange."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.actions import SendDrain, SendResults, SendWork
from cnflow.interchange.scheduler.deadlines import DeadlineFilter, Durations
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION, OTHER = Function(b"f" * 16, "f", 0, "", b"code"), Function(b"g" * 16, "g", 0, "", b"code")
A, B = b"a", b"b"


@pytest.fixture
def state():
    return Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=10_000)  # blocks are admitted as they come


def register(state, manager, life, now=0, slots=2):
    node = Node(float(slots), 0, 0, 1.0, 0, life)
    state.on_admitted(manager.decode())
    state.on_registered(manager, ManagerInfo(1, "0.1.0", "3.11", "host", manager.decode(), "", slots, 1, "", node), now)
    state.on_results(manager, slots, [], now)


def submit(state, *numbers, walltime=0.0, function=FUNCTION, needs=None):
    parcels = [(Task(number, function.id, b"", "", 0, walltime, needs), ()) for number in numbers]
    return state.on_submitted([FUNCTION, OTHER], parcels, may_have_needs=needs is not None)


def queue_length(state):
    return len(state._queue) + len(state._scheduler)


def dispatch(state, now):
    return {
        action.manager: [task.id for task, _ in action.tasks]
        for action in state.dispatch(now)
        if isinstance(action, SendWork)
    }


def finish(state, manager, *numbers, seconds, now, slots=2):
    state.on_results(manager, slots, [(Result(n, ResultKind.VALUE, b"v", seconds), ()) for n in numbers], now)


def test_task_that_cannot_end_in_time_goes_to_another_block(state):
    register(state, A, life=100)
    register(state, B, life=1000)
    submit(state, 0, 1, walltime=60)
    assert dispatch(state, 50) == {B: [0, 1]}


def test_shorter_task_is_taken_instead_of_one_that_cannot_end_in_time(state):
    register(state, A, life=100)
    submit(state, 0, 1, walltime=60)
    submit(state, 2, walltime=40)
    assert dispatch(state, 50) == {A: [2]}
    assert queue_length(state) == 2
    assert dispatch(state, 51) == {}
    register(state, B, life=100, now=60)
    assert dispatch(state, 60) == {B: [0, 1]}


def test_durations_of_the_function_count_without_a_walltime(state):
    register(state, A, life=100)
    submit(state, *range(10))
    for number in range(0, 10, 2):
        assert dispatch(state, 0) == {A: [number, number + 1]}
        finish(state, A, number, number + 1, seconds=30, now=0)
    submit(state, 10, 11)
    submit(state, 12, function=OTHER)
    assert dispatch(state, 75) == {A: [12]}
    assert dispatch(state, 69) == {A: [10]}


def test_fresh_block_is_tried_whatever_durations_were_recorded(state):
    deadlines = DeadlineFilter()
    deadlines.record_durations(
        dict.fromkeys(range(9), FUNCTION.id), [(Result(n, ResultKind.VALUE, b"", 500.0), ()) for n in range(9)]
    )
    assert deadlines.is_in_time(Task(1, FUNCTION.id, b""), 99, 100)
    assert not deadlines.is_in_time(Task(1, FUNCTION.id, b""), 80, 100)


def test_walltime_longer_than_any_block_fails_at_once(state):
    register(state, A, life=100)
    submit(state, 0, walltime=101)
    (answer,) = state.dispatch(0)
    assert isinstance(answer, SendResults)
    ((result, _),) = answer.results
    assert result.kind == ResultKind.DOES_NOT_FIT
    assert result.body.decode() == "walltime=101\nhost: cores=2, memory=0 B, gpus=0, 100 s"
    (answer,) = submit(state, 1, walltime=101, needs=Needs(cores=2))
    assert [result.id for result, _ in answer.results] == [1]


def test_deadlines_apply_to_tasks_with_needs(state):
    register(state, A, life=100)
    register(state, B, life=200)
    submit(state, 0, walltime=120, needs=Needs(cores=2))
    assert dispatch(state, 0) == {B: [0]}


def test_idle_block_near_its_end_is_drained_while_tasks_wait(state):
    register(state, A, life=100)
    submit(state, 0, walltime=60)
    assert dispatch(state, 45) == {}
    assert not any(isinstance(action, SendDrain) for action in state.on_tick(45))  # shorter ones may come
    assert SendDrain(A, "a") in state.on_tick(51)


def test_walltime_is_not_checked_where_blocks_have_no_end(state):
    register(state, A, life=float("inf"))
    submit(state, 0, walltime=1e9)
    assert dispatch(state, 0) == {A: [0]}


@given(st.lists(st.floats(0, 100), min_size=5, max_size=200))
def test_quantile_covers_nine_of_ten_of_the_latest_durations(seconds):
    durations = Durations()
    for each in seconds:
        durations.add(each)
    latest = sorted(seconds[-64:])
    assert durations.quantile in latest
    assert sum(each <= durations.quantile for each in latest) >= 0.85 * len(latest) - 1
