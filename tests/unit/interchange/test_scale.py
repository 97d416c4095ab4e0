"""Work of each event that must not grow with all that waits; bounds are ten times and more above the need."""

import math
import time

from cnflow.interchange.actions import SendCancel, SendResults, SendWork
from cnflow.interchange.recovery import Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

F = Function(b"f" * 16, "f", 0, "", b"code")


def node(block="0", slots=1, life=math.inf):
    return ManagerInfo(1, "0", "3.11", "h", block, "", slots, 1, "", Node(cores=1.0, worker_cores=1.0, life=life))


def task(number, needs=None, walltime=0.0):
    return Task(number, F.id, b"", needs=needs, walltime=walltime), ()


def cpu_of(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin


def interchange(managers=0, slots=1, life=math.inf):
    state = Interchange(1, 10, 1e9, map(str, range(managers)))
    for number in range(managers):
        state.on_registered(b"m%d" % number, node(str(number), slots, life), 0)
        state.on_results(b"m%d" % number, slots, [], 0)
    return state


def test_cancelling_queued_tasks_one_by_one_does_not_walk_through_the_queue():
    state = interchange()
    state.on_submitted([F], [task(number) for number in range(40_000)])
    seconds = cpu_of(lambda: [state.on_cancelled({number: 0}, 0) for number in range(40_000)])
    assert seconds < 2, f"{seconds:.2f} s of CPU to cancel 40,000 tasks"
    assert len(state._queue) == 0


def test_cancelling_held_tasks_one_by_one_does_not_ask_each_manager():
    state = interchange(managers=5_000)
    state.on_submitted([F], [task(number) for number in range(5_000)])
    holders = {parcel[0].id: a.manager for a in state.dispatch(0) if isinstance(a, SendWork) for parcel in a.tasks}
    actions = []
    seconds = cpu_of(lambda: actions.extend(a for n in range(5_000) for a in state.on_cancelled({n: 0}, 0)))
    assert actions == [SendCancel(holders[number], {number: 0}) for number in range(5_000)]
    assert seconds < 1, f"{seconds:.2f} s of CPU to cancel 5,000 tasks on 5,000 managers"


def test_status_of_a_task_that_a_manager_holds_is_found_by_index():
    state = interchange(managers=1)
    state.on_submitted([F], [task(0), task(1)])
    state.dispatch(0)
    reports = [state.status_report(1, number, 0) for number in (0, 1, 2)]
    assert [(report.holder, report.ahead) for report in reports] == [(b"m0", -1), (b"", 0), (b"", -1)]


def test_claims_of_managers_are_compared_with_resubmitted_tasks_by_index():
    count = 2_000
    awaited = {b"m%d" % number: str(number) for number in range(count)}
    state = RecoveringInterchange(1, 10, 30, Predecessor(awaited.values(), awaited, {}), 0)
    for number in range(count):
        held = dict.fromkeys(range(number * 10, number * 10 + 10), 0)
        state.on_registered(b"m%d" % number, node(str(number), slots=10), 0, held)
    actions = []
    tasks = [task(number) for number in range(count * 10 + 1)]
    seconds = cpu_of(lambda: actions.extend([*state.on_resubmitted([F], tasks), *state.dispatch(1)]))
    assert seconds < 2, f"{seconds:.2f} s of CPU for {count * 10} tasks on {count} managers"
    assert not [action for action in actions if isinstance(action, SendResults)]
    assert len(state._queue) == 1


def test_result_is_handled_soon_though_each_task_has_a_priority_of_its_own():
    state = interchange(managers=100)
    state.on_submitted([F], [task(n, Needs(1.0, priority=float(n))) for n in range(10_000)], may_have_needs=True)
    first = {action.manager: action.tasks[0][0].id for action in state.dispatch(0)}
    manager, done = next(iter(first.items()))
    state.on_results(manager, 1, [(Result(done, ResultKind.VALUE, b"", 1.0), ())], 1)
    seconds = cpu_of(lambda: state.dispatch(1))
    assert seconds < 0.5, f"{seconds:.2f} s of CPU to send one task"


def test_round_in_which_no_manager_has_time_for_any_task_is_short():
    state = interchange(managers=2_000, life=3600.0)
    state.on_submitted([F], [task(number, walltime=3000.0) for number in range(1_000)])
    state.dispatch(1800)
    seconds = cpu_of(lambda: state.dispatch(1801))
    assert seconds < 0.5, f"{seconds:.2f} s of CPU, and again with the next heartbeat"


def test_first_round_in_which_no_manager_has_time_does_not_compare_each_with_each_task():
    state = interchange(managers=2_000, life=3600.0)
    state.on_submitted([F], [task(number, walltime=3000.0) for number in range(1_000)])
    seconds = cpu_of(lambda: state.dispatch(1800))
    assert seconds < 0.5, f"{seconds:.2f} s of CPU"


def test_round_in_which_no_node_has_time_for_tasks_with_needs_is_short():
    state = interchange(managers=2_000, life=3600.0)
    tasks = [task(number, Needs(cores=1.0), walltime=2000.0 + number) for number in range(1_000)]
    state.on_submitted([F], tasks, may_have_needs=True)
    state.dispatch(1800)
    seconds = cpu_of(lambda: [state.dispatch(1801 + n) for n in range(10)])
    assert seconds < 2, f"{seconds / 10:.2f} s of CPU for each"


def test_submitting_a_task_with_needs_does_not_look_at_all_that_wait():
    state = interchange(managers=1)
    state.on_submitted([F], [task(n, Needs(1.0, priority=float(n))) for n in range(20_000)], may_have_needs=True)
    seconds = cpu_of(
        lambda: [state.on_submitted([], [task(10**6 + n, Needs(1.0))], may_have_needs=True) for n in range(20)]
    )
    assert seconds < 1, f"{seconds / 20 * 1000:.0f} ms of CPU for each"


def test_cancelling_tasks_with_needs_one_by_one_does_not_look_at_all_that_wait():
    state = interchange(managers=1)
    state.on_submitted([F], [task(n, Needs(1.0, priority=float(-n))) for n in range(20_000)], may_have_needs=True)
    seconds = cpu_of(lambda: [state.on_cancelled({n: 0}, 0) for n in range(20_000)])
    assert seconds < 2, f"{seconds:.2f} s of CPU to cancel 20,000 tasks"
    assert len(state._scheduler) == 0
