"""Tasks that cannot end before their block does, through the interchange's state machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.actions import SendDrain, SendResults, SendWork
from cnflow.interchange.scheduler.deadlines import DeadlineFilter, Durations
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION, OTHER = Function(b"f" * 16, "f", 0, "", b"code"), Function(b"g" * 16, "g", 0, "", b"code")
A, B = b"a", b"b"


@pytest.fixture
def state():
    return Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=10_000)


def join(state, manager, life, now=0, slots=2):
    node = Node(float(slots), 0, 0, 1.0, 0, life)
    state.registered(manager, ManagerInfo(1, "0.1.0", "3.11", "host", manager.decode(), "", slots, 1, "", node), now)
    state.done(manager, slots, [], now)


def submit(state, *numbers, walltime=0.0, function=FUNCTION, needs=None):
    parcels = [(Task(number, function.id, b"", "", 0, walltime, needs), ()) for number in numbers]
    return state.submitted([FUNCTION, OTHER], parcels, may_have_needs=needs is not None)


def given_at(state, now):
    return {
        action.manager: [task.id for task, _ in action.tasks]
        for action in state.dispatch(now)
        if isinstance(action, SendWork)
    }


def ended(state, manager, *numbers, seconds, now, slots=2):
    state.done(manager, slots, [(Result(n, ResultKind.VALUE, b"v", seconds), ()) for n in numbers], now)


def test_a_task_that_cannot_end_in_time_goes_elsewhere(state):
    join(state, A, life=100)
    join(state, B, life=1000)
    submit(state, 0, 1, walltime=60)
    assert given_at(state, 50) == {B: [0, 1]}


def test_a_shorter_one_is_taken_in_its_place(state):
    join(state, A, life=100)
    submit(state, 0, 1, walltime=60)
    submit(state, 2, walltime=40)
    assert given_at(state, 50) == {A: [2]}
    assert state.queued == 2
    assert given_at(state, 51) == {}
    join(state, B, life=100, now=60)
    assert given_at(state, 60) == {B: [0, 1]}


def test_what_tasks_of_its_function_took_counts_as_well(state):
    join(state, A, life=100)
    submit(state, *range(10))
    for number in range(0, 10, 2):
        assert given_at(state, 0) == {A: [number, number + 1]}
        ended(state, A, number, number + 1, seconds=30, now=0)
    submit(state, 10, 11)
    submit(state, 12, function=OTHER)
    assert given_at(state, 75) == {A: [12]}
    assert given_at(state, 69) == {A: [10]}


def test_a_fresh_block_is_tried_whatever_was_learned(state):
    timely = DeadlineFilter()
    timely.learn(
        dict.fromkeys(range(9), FUNCTION.id), [(Result(n, ResultKind.VALUE, b"", 500.0), ()) for n in range(9)]
    )
    assert timely.fits(Task(1, FUNCTION.id, b""), 99, 100)
    assert not timely.fits(Task(1, FUNCTION.id, b""), 80, 100)


def test_a_walltime_that_no_block_has_fails_at_once(state):
    join(state, A, life=100)
    submit(state, 0, walltime=101)
    (answer,) = state.dispatch(0)
    assert isinstance(answer, SendResults)
    ((result, _),) = answer.results
    assert result.kind == ResultKind.DOES_NOT_FIT
    assert result.body.decode() == "walltime=101\nhost: cores=2, memory=0 B, gpus=0, 100 s"
    (answer,) = submit(state, 1, walltime=101, needs=Needs(cores=2))
    assert [result.id for result, _ in answer.results] == [1]


def test_tasks_with_needs_look_at_the_time_too(state):
    join(state, A, life=100)
    join(state, B, life=200)
    submit(state, 0, walltime=120, needs=Needs(cores=2))
    assert given_at(state, 0) == {B: [0]}


def test_a_block_that_has_no_time_for_anything_makes_way_for_another(state):
    join(state, A, life=100)
    submit(state, 0, walltime=60)
    assert given_at(state, 45) == {}
    assert not any(isinstance(action, SendDrain) for action in state.ticked(45))  # shorter ones may come
    assert SendDrain(A, "a") in state.ticked(51)


def test_where_blocks_have_no_end_nothing_is_looked_at(state):
    join(state, A, life=float("inf"))
    submit(state, 0, walltime=1e9)
    assert given_at(state, 0) == {A: [0]}


@given(st.lists(st.floats(0, 100), min_size=5, max_size=200))
def test_the_usual_duration_is_one_that_nearly_all_of_the_latest_kept(seconds):
    durations = Durations()
    for each in seconds:
        durations.add(each)
    latest = sorted(seconds[-64:])
    assert durations.usual in latest
    assert sum(each <= durations.usual for each in latest) >= 0.85 * len(latest) - 1
