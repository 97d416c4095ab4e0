"""A manager that takes one task in all, for tasks with a container of their own."""

from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager, SendTask
from cnflow.wire.function_messages import Function
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")


def parcels(*numbers, python=""):
    return [(Task(number, FUNCTION.id, b"args", python=python), ()) for number in numbers]


def ready_manager(max_tasks=1):
    prefetch = Prefetch(0, max_tasks)
    state = Manager(1, prefetch, "3.11", "host h, block 0")
    state.on_start()
    state.on_worker_ready(0)
    return state, prefetch


def started(state):
    return [action.task[0].id for action in state.dispatch(0) if isinstance(action, SendTask)]


def results(state):
    return [(result.id, result.kind) for result, _ in state.take_results()]


def test_one_task_is_asked_for_and_run():
    state, prefetch = ready_manager()
    assert state.window == 1
    assert not prefetch.is_exhausted
    state.on_work([FUNCTION], parcels(0))
    assert prefetch.is_exhausted
    assert started(state) == [0]


def test_tasks_beyond_the_first_are_returned_unstarted():
    state, _ = ready_manager()
    state.on_work([FUNCTION], parcels(0, 1))
    assert results(state) == [(1, ResultKind.RETURNED)]
    state.on_drain()
    state.on_work([FUNCTION], parcels(2))
    assert results(state) == [(2, ResultKind.RETURNED)]
    assert started(state) == [0]


def test_the_manager_is_drained_by_the_result_of_its_task():
    state, _ = ready_manager()
    state.on_work([FUNCTION], parcels(0))
    state.on_drain()
    started(state)
    assert not state.is_drained
    state.on_results(0, [(Result(0, ResultKind.VALUE, b"v", 1.0), ())], 0)
    assert results(state) == [(0, ResultKind.VALUE)]
    assert state.is_drained


def test_a_worker_that_dies_with_its_task_is_given_no_other():
    state, _ = ready_manager()
    state.on_work([FUNCTION], parcels(0))
    state.on_drain()
    started(state)
    state.on_worker_exit(0, -9, "")
    assert results(state) == [(0, ResultKind.WORKER_LOST)]
    state.on_worker_ready(0)
    assert state.is_drained


def test_a_task_of_another_python_is_refused_and_leaves_the_container_fresh():
    state, prefetch = ready_manager()
    state.on_work([FUNCTION], parcels(0, python="3.8"))
    assert results(state) == [(0, ResultKind.REFUSED)]
    assert not prefetch.is_exhausted


def test_a_manager_without_a_limit_takes_any_number():
    _, prefetch = ready_manager(None)
    for _ in range(100):
        prefetch.on_taken()
    assert not prefetch.is_exhausted
