"""Stories of the manager's state machine."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.manager.slots import Pace
from cnflow.manager.state import GiveFunction, GiveTask, Manager, Quit, StartWorker
from cnflow.wire.messages import Function, Result, Task, decode_loss
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
OTHER_PYTHON = Function(b"o" * 16, "o", 0, "3.8", b"code")


def manager(slots=2, prefetch=None):
    return Manager(slots, Pace(prefetch), "3.11", "host h, block 0")


def tasks(*numbers, function=FUNCTION):
    return [(Task(number, function.id, b"args"), ()) for number in numbers]


def value(number, seconds=1.0):
    return (Result(number, ResultKind.VALUE, b"v", seconds), ())


def given(actions):
    return [(action.rank, action.task[0].id) for action in actions if isinstance(action, GiveTask)]


def running(state, *ranks):
    state.started()
    for rank in ranks:
        state.ready(rank)
    return state


def test_workers_are_started_at_once_and_wanted_tasks_follow_their_first_word():
    state = manager(slots=2)
    assert state.started() == [StartWorker(0), StartWorker(1)]
    assert state.window == 0
    state.ready(1)
    assert state.window == 1


def test_each_worker_gets_one_task_while_nothing_is_known_of_their_length():
    state = running(manager(slots=2), 0, 1)
    state.work([FUNCTION], tasks(0, 1, 2))
    assert given(state.dispatch()) == [(0, 0), (1, 1)]
    state.returned(1, [value(1)])
    assert given(state.dispatch()) == [(1, 2)]


def test_a_function_is_written_once_to_each_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    assert [type(action) for action in state.dispatch()] == [GiveFunction, GiveTask]
    state.returned(0, [value(0)])
    assert [type(action) for action in state.dispatch()] == [GiveTask]


def test_short_tasks_are_held_in_advance_and_long_ones_are_not():
    state = running(manager(slots=1), 0)
    assert state.window == 1
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch()
    state.returned(0, [value(0, seconds=0.00001)])
    assert state.window > 100
    state.dispatch()
    state.returned(0, [value(1, seconds=2.0)])
    assert state.window == 1


def test_prefetch_zero_holds_nothing_in_advance_however_short_the_tasks():
    state = running(manager(slots=1, prefetch=0), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch()
    state.returned(0, [value(0, seconds=0.00001)])
    assert state.window == 1


def test_a_crash_fails_the_task_that_ran_and_only_that():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0))
    state.dispatch()
    state.returned(0, [value(0, seconds=0.00001)])
    state.work([], tasks(1, 2, 3))
    assert given(state.dispatch()) == [(0, 1), (0, 2), (0, 3)]
    state.take_results()
    assert state.exited(0, -11, "last words") == [StartWorker(0)]
    ((lost, _),) = state.take_results()
    assert (lost.id, lost.kind) == (1, ResultKind.WORKER_LOST)
    loss = decode_loss(lost.body)
    assert (loss.exitcode, loss.stderr_tail) == (-11, "last words")
    assert "worker 0" in loss.where
    state.ready(0)
    assert [number for _, number in given(state.dispatch())] == [2, 3]


def test_a_replaced_worker_is_given_the_functions_anew():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], tasks(0, 1))
    state.dispatch()
    state.exited(0, 1, "")
    state.ready(0)
    assert [type(action) for action in state.dispatch()] == [GiveFunction, GiveTask]


def test_code_of_another_python_is_refused_before_it_reaches_a_worker():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION, OTHER_PYTHON], tasks(0, function=OTHER_PYTHON) + tasks(1))
    assert given(state.dispatch()) == [(0, 1)]
    ((refused, _),) = state.take_results()
    assert (refused.id, refused.kind) == (0, ResultKind.REFUSED)
    assert refused.body == b"3.8 3.11 host h, block 0"


def test_arguments_with_code_of_another_python_are_refused_too():
    state = running(manager(slots=1), 0)
    state.work([FUNCTION], [(Task(0, FUNCTION.id, b"args", "3.12"), ())])
    assert state.dispatch() == []
    assert state.take_results()[0][0].kind == ResultKind.REFUSED


def test_a_manager_whose_workers_die_as_they_start_gives_up_with_their_words():
    state = manager(slots=1)
    state.started()
    assert state.exited(0, 1, "boom") == [StartWorker(0)]
    assert state.exited(0, 1, "boom") == [StartWorker(0)]
    (quit_action,) = state.exited(0, 1, "boom")
    assert isinstance(quit_action, Quit)
    assert "boom" in quit_action.reason


class WhateverHappens(RuleBasedStateMachine):
    """However workers answer, die and start: no task is lost, and none gets two results."""

    def __init__(self):
        super().__init__()
        self.state = manager(slots=3)
        self.state.started()
        self.pipes = {0: [], 1: [], 2: []}
        self.submitted = 0
        self.finished = []

    def after(self):
        for rank, number in given(self.state.dispatch()):
            self.pipes[rank].append(number)
        self.finished += [result.id for result, _ in self.state.take_results()]

    @rule(count=st.integers(1, 20))
    def work_comes(self, count):
        numbers = range(self.submitted, self.submitted + count)
        self.submitted += count
        self.state.work([FUNCTION], tasks(*numbers))
        self.after()

    @rule(rank=st.integers(0, 2))
    def worker_is_ready(self, rank):
        self.state.ready(rank)
        self.after()

    @rule(data=st.data(), seconds=st.sampled_from([0.00001, 0.001, 1.0]))
    @precondition(lambda self: any(self.pipes.values()))
    def worker_answers(self, data, seconds):
        rank = data.draw(st.sampled_from([rank for rank, pipe in self.pipes.items() if pipe]))
        count = data.draw(st.integers(1, len(self.pipes[rank])))
        done, self.pipes[rank] = self.pipes[rank][:count], self.pipes[rank][count:]
        self.state.returned(rank, [value(number, seconds) for number in done])
        self.after()

    @rule(rank=st.integers(0, 2))
    def worker_dies(self, rank):
        if any(isinstance(action, StartWorker) for action in self.state.exited(rank, -9, "")):
            self.pipes[rank] = []
        self.after()

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        assert sorted([*self.state.held(), *self.finished]) == list(range(self.submitted))


WhateverHappens.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWhateverHappens = WhateverHappens.TestCase
