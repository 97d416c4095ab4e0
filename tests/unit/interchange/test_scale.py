"""Work of each event that must not grow with all that waits; bounds are ten times and more above the need."""

import math
import time

from cnflow.interchange.actions import SendCancel, SendResults, SendWork
from cnflow.interchange.recovery import RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, Node
from cnflow.wire.messages import Function, Task

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
    state = Interchange(1, 10, 1e9)
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


def test_claims_of_managers_are_compared_with_resubmitted_tasks_in_less_than_half_a_second():
    count = 2_000
    state = RecoveringInterchange(1, 10, 30, awaited={b"m%d" % n: str(n) for n in range(count)}, departed=(), now=0)
    for number in range(count):
        held = dict.fromkeys(range(number * 10, number * 10 + 10), 0)
        state.on_registered(b"m%d" % number, node(str(number), slots=10), 0, held)
    actions = []
    tasks = [task(number) for number in range(count * 10 + 1)]
    seconds = cpu_of(lambda: actions.extend(state.on_resubmitted([F], tasks)))
    assert seconds < 0.5, f"{seconds:.2f} s of CPU for {count * 10} tasks on {count} managers"
    assert not [action for action in actions if isinstance(action, SendResults)]
    assert len(state._queue) == 1
