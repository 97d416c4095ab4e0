"""Functions that a manager and its workers forget."""

import pytest

from cnflow.manager.actions import SendFunction, SendTask
from cnflow.manager.ended_tasks import EndedTasks
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.manager.workers import worker
from cnflow.manager.workers.codec import encode_action
from cnflow.wire.function_messages import Function
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import Reader, ResultKind, ToWorker
from cnflow.wire.sent_functions import size_of

FUNCTIONS = [Function(bytes([n]) * 16, f"f{n}", 0, "", b"code") for n in range(6)]


def tasks(*numbers):
    """One task of each function."""
    return [(Task(number, FUNCTIONS[number].id, b"args"), ()) for number in numbers]


def value(number):
    return [(Result(number, ResultKind.VALUE, b"v", 1.0), ())]


@pytest.fixture
def state():
    made = Manager(1, Prefetch(3), "3.11", "host h, block 0")
    made.on_start()
    made.on_worker_ready(0)
    return made


def run(state, number):
    """Let the worker run the task *number*, and return the functions that it was sent, and whether it forgot some."""
    actions = state.dispatch(0)
    assert [action.task[0].id for action in actions if isinstance(action, SendTask)] == [number]
    state.on_results(0, value(number), 0)
    return [action[1:] for action in actions if isinstance(action, SendFunction)]


def test_functions_of_tasks_that_are_here_are_kept_and_all_others_forgotten(state):
    state.on_work(FUNCTIONS[:3], tasks(0, 1, 2))
    run(state, 0)
    state.dispatch(0)
    state.forget_functions()
    assert {*state._functions} == {FUNCTIONS[1].id, FUNCTIONS[2].id}, "one runs, one waits"
    state.on_results(0, value(1), 0)
    assert run(state, 2) == [(FUNCTIONS[2:3], False)]


def test_functions_of_tasks_whose_results_may_be_adopted_are_kept(state):
    state.ended = EndedTasks()
    state.on_work(FUNCTIONS[:1], tasks(0))
    run(state, 0)
    state.ended.on_sent(7)
    state.forget_functions()
    assert set(state.identities()) == {0}
    state.ended.on_delivered(7)
    state.forget_functions()
    assert not state._functions


def test_task_of_a_forgotten_function_runs_once_the_function_was_sent_again(state):
    state.on_work(FUNCTIONS[:1], tasks(0))
    run(state, 0)
    state.forget_functions()
    with pytest.raises(ValueError, match="was not sent"):
        state.on_work([], tasks(0))
    state.on_work(FUNCTIONS[:1], tasks(0))
    assert run(state, 0) == [], "the worker has it"


def test_worker_forgets_once_many_functions_were_sent(state, monkeypatch):
    monkeypatch.setattr(worker, "OF_WORKER", 2 * size_of(FUNCTIONS[0]))
    state.on_worker_exit(0, 1, "")
    state.on_worker_ready(0)
    state.on_work(FUNCTIONS, tasks(0, 1, 2, 3))
    assert [run(state, number) for number in range(4)] == [
        [([FUNCTIONS[0]], False)],
        [([FUNCTIONS[1]], False)],
        [([FUNCTIONS[2]], True)],
        [([FUNCTIONS[3]], False)],
    ]
    state.on_work([], tasks(2))
    assert run(state, 2) == []


def test_modules_of_a_function_are_kept_and_sent_with_it(state):
    module, other = FUNCTIONS[3], FUNCTIONS[2]
    function = Function(FUNCTIONS[0].id, "f0", 0, "", b"code", (module.id,))
    state.on_work([module, other, function], tasks(0))
    assert run(state, 0) == [([module, function], False)]
    state.on_work([], tasks(0))
    state.forget_functions()
    assert {*state._functions} == {function.id, module.id}


def test_order_to_forget_precedes_the_function():
    for forgets, kinds in ((True, [ToWorker.FORGET, ToWorker.FUNCTION]), (False, [ToWorker.FUNCTION])):
        data = b"".join(map(bytes, encode_action(SendFunction(0, FUNCTIONS[:1], forgets))))
        assert [record.type for record in Reader().feed(data)] == kinds
