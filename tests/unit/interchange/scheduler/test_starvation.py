"""Tasks that wait for long: none for ever, and none without a word."""

import math

import pytest

from cnflow.interchange.actions import SendDrain, SendResults, SendWork
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
LONG = Function(b"l" * 16, "l", 0, "", b"code")
A, B = b"a", b"b"


def node(cores=4.0, slots=4, life=math.inf, block="0"):
    resources = Node(cores=cores, worker_cores=1.0, life=life)
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", slots, 1, "", resources)


def task(number, needs=None, walltime=0.0, function=FUNCTION):
    return Task(number, function.id, b"args", needs=needs, walltime=walltime), ()


def register(state, manager, info, now):
    state.on_admitted(info.block)
    return state.on_registered(manager, info, now)


def work_in(actions):
    return {a.manager: [t.id for t, _ in a.tasks] for a in actions if isinstance(a, SendWork)}


def results_in(actions):
    return {r.id: r for a in actions if isinstance(a, SendResults) for r, _ in a.results}


def result(number, seconds=1.0):
    return Result(number, ResultKind.VALUE, b"", seconds), ()


def run_useless_blocks(state, life, late, number):
    """Run blocks one after the other, whose workers are ready *late*; return the actions until a task ends or runs."""
    for block in range(number):
        manager, began = b"m%d" % block, block * 2.0 * life
        actions = register(state, manager, node(life=life, block=str(block)), began)
        actions += state.on_results(manager, 4, [], began + late)
        actions += state.dispatch(began + late)
        if work_in(actions) or results_in(actions):
            return block, actions
        state.on_heartbeat(manager, began + life * 0.29)
        actions = state.on_tick(began + life * 0.29) + state.on_tick(began + life * 0.55)
        assert [a for a in actions if isinstance(a, SendDrain)]
        state.on_manager_left(manager, "its block is drained")
    raise AssertionError(f"{number} blocks were of no use, and the task has neither run nor failed")


@pytest.mark.parametrize("needs", [None, Needs(cores=1.0)])
def test_walltime_that_no_block_has_left_once_its_workers_started_fails_the_task(needs):
    state = Interchange(1, 10, 1e9)
    state.on_submitted([FUNCTION], [task(0, needs, walltime=99.0)], may_have_needs=True)
    blocks, actions = run_useless_blocks(state, life=100.0, late=2.0, number=50)
    found = results_in(actions)[0]
    assert found.kind == ResultKind.DOES_NOT_FIT
    assert "walltime=99 (blocks have 98 s once their workers have started)" in found.body.decode()
    assert blocks == 2, "it is known from the third block on"


def test_block_that_starts_quicker_than_those_before_it_runs_the_task():
    state = Interchange(1, 10, 1e9)
    state.on_submitted([FUNCTION], [task(0, walltime=95.0)])
    for block, late in enumerate((10.0, 10.0, 1.0)):
        manager, began = b"m%d" % block, block * 200.0
        register(state, manager, node(life=100.0, block=str(block)), began)
        state.on_results(manager, 4, [], began + late)
        actions = state.dispatch(began + late)
        assert not results_in(actions)
        state.on_manager_left(manager, "its block is drained")
    assert work_in(actions) == {b"m2": [0]}


def run_small_tasks(state, running, first, number):
    """Let a stream of small tasks pass, one at a time; return how many passed before task 3 ran."""
    for passed in range(number):
        state.on_submitted([], [task(first + passed, Needs(cores=1.0))], may_have_needs=True)
        manager, ended = running.pop(0)
        now = 15.0 + passed
        state.on_results(manager, 2, [result(ended)], now)
        running += [(manager, t) for manager, tasks in work_in(state.dispatch(now)).items() for t in tasks]
        if any(t == 3 for _, t in running):
            return passed
    raise AssertionError(f"{number} small tasks have passed the one that needs the node")


def test_task_behind_one_that_waits_for_another_block_is_not_starved_by_small_tasks():
    state = Interchange(1, 10, 1e9)
    register(state, A, node(cores=2.0, slots=2, life=1000.0), 0)
    state.on_results(A, 2, [], 0)
    state.on_submitted([FUNCTION], [task(0, Needs(cores=1.0)), task(1, Needs(cores=1.0))], may_have_needs=True)
    running = [(manager, t) for manager, tasks in work_in(state.dispatch(1)).items() for t in tasks]
    state.on_submitted(
        [LONG],
        [task(2, Needs(cores=1.0), walltime=990.0), task(3, Needs(cores=2.0), function=LONG)],
        may_have_needs=True,
    )
    running += [(manager, t) for manager, tasks in work_in(state.dispatch(2)).items() for t in tasks]
    assert run_small_tasks(state, running, 4, 300) < 5


def test_task_behind_one_whose_reserved_node_never_becomes_free_is_not_starved_by_small_tasks():
    state = Interchange(1, 10, 1e9)
    for manager in (A, B):
        register(state, manager, node(cores=2.0, slots=2), 0)
        state.on_results(manager, 2, [], 0)
    service, first = task(0, Needs(cores=1.0, priority=0.0)), task(2, Needs(cores=2.0, priority=1.0))
    state.on_submitted([FUNCTION], [service, task(1, Needs(cores=1.0, priority=0.5))], may_have_needs=True)
    (manager,) = work_in(state.dispatch(0))  # both on one node, where the service stays for ever
    state.on_submitted([LONG], [task(10, Needs(cores=1.0)), task(11, Needs(cores=1.0))], may_have_needs=True)
    (other,) = work_in(state.dispatch(0))
    state.on_results(manager, 2, [result(1)], 1)
    state.on_submitted([], [first, task(3, Needs(cores=2.0, memory=0), function=LONG)], may_have_needs=True)
    assert not work_in(state.dispatch(1)), "the node of the service holds fewer tasks, and is reserved"
    assert run_small_tasks(state, [(other, 10), (other, 11)], 20, 1000) < 500


def test_function_that_has_become_quick_uses_a_node_where_nothing_changed():
    state = Interchange(1, 10, 1e9)
    register(state, A, node(life=1000.0, slots=8, cores=8.0, block="0"), 0)
    state.on_results(A, 8, [], 0)
    needs = Needs(cores=1.0)
    state.on_submitted([FUNCTION], [task(n, needs) for n in range(8)], may_have_needs=True)
    state.dispatch(0)
    state.on_results(A, 8, [result(n, 600.0) for n in range(8)], 600)  # 600 s each
    register(state, B, node(life=1000.0, slots=1, cores=1.0, block="1"), 600)
    state.on_results(B, 1, [], 600)
    state.on_submitted([], [task(100 + n, needs) for n in range(200)], may_have_needs=True)
    first = work_in(state.dispatch(600))
    assert A not in first, "400 s are left on A, 600 are usual"
    done, now = first[B], 600.0
    for _ in range(80):  # they are quick now: 1 s each
        now += 1
        state.on_results(B, 1, [result(done[0], 1.0)], now)
        work = work_in(state.dispatch(now))
        if A in work:
            return
        done = work[B]
    raise AssertionError(f"A has {1000 - now:.0f} s left and is idle; 1 s is usual")


def test_plain_tasks_of_a_function_that_has_become_quick_use_a_node_that_was_set_aside():
    state = Interchange(1, 10, 1e9)
    register(state, A, node(life=1000.0, slots=8, cores=8.0, block="0"), 0)
    state.on_results(A, 8, [], 0)
    state.on_submitted([FUNCTION], [task(n) for n in range(8)])
    state.dispatch(0)
    state.on_results(A, 8, [result(n, 600.0) for n in range(8)], 600)
    register(state, B, node(life=1000.0, slots=1, cores=1.0, block="1"), 600)
    state.on_results(B, 1, [], 600)
    state.on_submitted([], [task(100 + n) for n in range(200)])
    done, now = work_in(state.dispatch(600)), 600.0
    assert A not in done
    while A not in done:
        now += 1
        assert now < 700, "A is idle; 1 s is usual"
        state.on_results(B, 1, [result(done[B][0], 1.0)], now)
        done = work_in(state.dispatch(now))


def test_short_task_runs_on_a_node_that_was_set_aside_for_lack_of_time():
    state = Interchange(1, 10, 1e9)
    register(state, A, node(life=1000.0, slots=1), 0)
    state.on_results(A, 1, [], 0)
    state.on_submitted([FUNCTION], [task(0, walltime=900.0), task(1, walltime=800.0)])
    assert not work_in(state.dispatch(500))
    state.on_submitted([], [task(2, walltime=100.0)])
    assert work_in(state.dispatch(501)) == {A: [2]}


def mixed_interchange():
    state = Interchange(1, 10, 1e9, sure_after=3)
    register(state, A, node(cores=4.0, block="0"), 0)
    state.on_results(A, 4, [], 0)
    return state


def test_task_that_the_first_node_is_too_small_for_waits_for_a_larger_one():
    state = mixed_interchange()
    assert state.on_submitted([FUNCTION], [task(0, Needs(cores=8.0))], may_have_needs=True) == []
    assert state.dispatch(1) == []
    assert not results_in(register(state, B, node(cores=8.0, slots=8, block="1"), 50))
    state.on_results(B, 8, [], 51)
    assert work_in(state.dispatch(51)) == {B: [0]}


def test_task_that_fits_no_node_of_three_blocks_fails():
    state = mixed_interchange()
    state.on_submitted([FUNCTION], [task(0, Needs(cores=16.0))], may_have_needs=True)
    assert not results_in(register(state, B, node(cores=8.0, slots=8, block="1"), 1))
    (found,) = results_in(register(state, b"c", node(cores=8.0, slots=8, block="2"), 2)).values()
    assert found.kind == ResultKind.DOES_NOT_FIT
    assert results_in(state.on_submitted([], [task(1, Needs(cores=16.0))], may_have_needs=True))


def test_task_that_fits_no_node_fails_when_no_further_block_comes():
    state = mixed_interchange()
    state.on_submitted([FUNCTION], [task(0, Needs(cores=16.0))], may_have_needs=True)
    assert not results_in(state.on_tick(100))
    assert results_in(state.on_tick(121))
