"""Which accelerators workers see, and when they are started anew for a task."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.manager.actions import GiveTask, RestartWorker, StartWorker
from cnflow.manager.node.accelerators import AcceleratorPool
from cnflow.manager.prefetch import Prefetch
from cnflow.manager.state import Manager
from cnflow.wire.manager_messages import Needs
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")


def running(slots=2, accelerators=2):
    state = Manager(slots, Prefetch(None), "3.11", "host h, block 0", accelerators)
    state.started()
    for rank in range(slots):
        state.ready(rank)
    return state


def work(state, *wanted):
    parcels = [(Task(n, FUNCTION.id, b"", needs=None if k is None else Needs(accelerators=k)), ()) for n, k in wanted]
    state.work([FUNCTION], parcels)
    return plain(state.dispatch(0))


def plain(actions):
    return [
        (action.rank, action.task[0].id) if isinstance(action, GiveTask) else action
        for action in actions
        if isinstance(action, (GiveTask, RestartWorker))
    ]


def ended(state, rank, number):
    state.returned(rank, [(Result(number, ResultKind.VALUE, b"v", 1.0), ())], 0)
    return plain(state.dispatch(0))


def restarted(state, rank):
    assert state.exited(rank, -9, "") == [StartWorker(rank)]
    assert plain(state.dispatch(0)) == []
    state.ready(rank)
    return plain(state.dispatch(0))


def test_each_worker_sees_its_own_and_is_not_started_anew_for_it():
    state = running()
    assert work(state, (0, None), (1, 1)) == [(0, 0), (1, 1)]
    assert [list(state.shown(rank)) for rank in (0, 1)] == [[0], [1]]


def test_a_task_with_two_has_its_worker_see_both():
    state = running()
    assert work(state, (0, 2)) == [RestartWorker(0)]
    assert list(state.shown(0)) == [0, 1]
    assert state.held() == [0]
    assert restarted(state, 0) == [(0, 0)]
    assert work(state, (1, 2)) == []  # nothing is left to see; it waits
    assert ended(state, 0, 0) == [(0, 1)]


def test_what_is_borrowed_is_not_seen_by_a_plain_task():
    state = running()
    work(state, (0, 2))
    restarted(state, 0)
    assert work(state, (1, None)) == []
    assert ended(state, 0, 0) == [RestartWorker(0)]
    assert list(state.shown(0)) == [0]


def test_accelerators_that_no_worker_owns_are_taken_first():
    state = running(slots=2, accelerators=3)
    assert work(state, (0, 2), (1, None)) == [RestartWorker(0), (1, 1)]
    assert list(state.shown(0)) == [0, 2]


def test_a_task_that_needs_none_sees_none():
    state = running()
    assert work(state, (0, 0), (1, 2)) == [RestartWorker(0), RestartWorker(1)]
    assert (list(state.shown(0)), list(state.shown(1))) == ([], [0, 1])


def test_a_task_that_waits_for_its_worker_can_be_cancelled():
    state = running()
    work(state, (0, 2))
    state.cancelled([0], 0)
    assert [result.kind for result, _ in state.take_results()] == [ResultKind.CANCELLED]
    assert restarted(state, 0) == []
    assert state.held() == []


def test_without_accelerators_needs_change_nothing():
    state = running(accelerators=0)
    assert work(state, (0, 0)) == [(0, 0)]
    assert list(state.shown(0)) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=20))
def test_no_accelerator_is_seen_by_two_workers_that_run(tasks):
    lending, busy = AcceleratorPool(4, 4), set()
    for rank, number in tasks:
        if rank in busy:
            busy.discard(rank)
            continue
        shown = lending.for_task(rank, number, busy)
        free = 4 - sum(len(lending.shown(other)) for other in busy)
        assert (shown is None) == (number > free)
        if shown is not None:
            assert len(set(shown)) == number
            lending.show(rank, shown)
            busy.add(rank)
        seen = [each for other in busy for each in lending.shown(other)]
        assert len(seen) == len(set(seen))
