from hypothesis import given
from hypothesis import strategies as st

from cnflow.manager.actions import RestartWorker, SendTask, StartWorker
from cnflow.manager.node.accelerators import AcceleratorPool
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")


def manager_with_ready_workers(slots=2, accelerators=2):
    state = Manager(slots, Prefetch(None), "3.11", "host h, block 0", accelerators)
    state.on_start()
    for rank in range(slots):
        state.on_worker_ready(rank)
    return state


def send_work(state, *wanted):
    parcels = [(Task(n, FUNCTION.id, b"", needs=None if k is None else Needs(accelerators=k)), ()) for n, k in wanted]
    state.on_work([FUNCTION], parcels)
    return task_actions(state.dispatch(0))


def task_actions(actions):
    return [
        (action.rank, action.task[0].id) if isinstance(action, SendTask) else action
        for action in actions
        if isinstance(action, (SendTask, RestartWorker))
    ]


def end_task(state, rank, number):
    state.on_results(rank, [(Result(number, ResultKind.VALUE, b"v", 1.0), ())], 0)
    return task_actions(state.dispatch(0))


def restart_worker(state, rank):
    assert state.on_worker_exit(rank, -9, "") == [StartWorker(rank)]
    assert task_actions(state.dispatch(0)) == []
    state.on_worker_ready(rank)
    return task_actions(state.dispatch(0))


def test_a_worker_sees_its_own_accelerator_without_a_restart():
    state = manager_with_ready_workers()
    assert send_work(state, (0, None), (1, 1)) == [(0, 0), (1, 1)]
    assert [list(state.visible_accelerators(rank)) for rank in (0, 1)] == [[0], [1]]


def test_a_worker_is_restarted_to_see_two_accelerators():
    state = manager_with_ready_workers()
    assert send_work(state, (0, 2)) == [RestartWorker(0)]
    assert list(state.visible_accelerators(0)) == [0, 1]
    assert state.held() == {0: 0}
    assert restart_worker(state, 0) == [(0, 0)]
    assert send_work(state, (1, 2)) == []  # none is free, so the task waits
    assert end_task(state, 0, 0) == [(0, 1)]


def test_a_borrowed_accelerator_is_not_seen_by_a_plain_task():
    state = manager_with_ready_workers()
    send_work(state, (0, 2))
    restart_worker(state, 0)
    assert send_work(state, (1, None)) == []
    assert end_task(state, 0, 0) == [RestartWorker(0)]
    assert list(state.visible_accelerators(0)) == [0]


def test_accelerators_of_no_worker_are_chosen_first():
    state = manager_with_ready_workers(slots=2, accelerators=3)
    assert send_work(state, (0, 2), (1, None)) == [RestartWorker(0), (1, 1)]
    assert list(state.visible_accelerators(0)) == [0, 2]


def test_a_task_without_accelerators_sees_none():
    state = manager_with_ready_workers()
    assert send_work(state, (0, 0), (1, 2)) == [RestartWorker(0), RestartWorker(1)]
    assert (list(state.visible_accelerators(0)), list(state.visible_accelerators(1))) == ([], [0, 1])


def test_a_task_that_waits_for_the_restart_of_its_worker_can_be_cancelled():
    state = manager_with_ready_workers()
    send_work(state, (0, 2))
    state.on_cancel({0: 0}, 0)
    assert [result.kind for result, _ in state.take_results()] == [ResultKind.CANCELLED]
    assert restart_worker(state, 0) == []
    assert state.held() == {}


def test_a_node_without_accelerators_ignores_the_number_that_a_task_needs():
    state = manager_with_ready_workers(accelerators=0)
    assert send_work(state, (0, 0)) == [(0, 0)]
    assert list(state.visible_accelerators(0)) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=20))
def test_no_accelerator_is_seen_by_two_busy_workers(tasks):
    pool, busy = AcceleratorPool(4, 4), set()
    for rank, number in tasks:
        if rank in busy:
            busy.discard(rank)
            continue
        shown = pool.choose(rank, number, busy)
        free = 4 - sum(len(pool.visible(other)) for other in busy)
        assert (shown is None) == (number > free)
        if shown is not None:
            assert len(set(shown)) == number
            pool.set_visible(rank, shown)
            busy.add(rank)
        seen = [each for other in busy for each in pool.visible(other)]
        assert len(seen) == len(set(seen))
