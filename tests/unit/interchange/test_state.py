"""State of the interchange: stories, and random sequences of events."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.interchange.actions import (
    ReportBlockEmpty,
    ReportDrained,
    ReportManagerDown,
    ReportManagerUp,
    SendCancel,
    SendDrain,
    SendHeartbeat,
    SendRefused,
    SendResults,
    SendStop,
    SendTaskQuery,
    SendWork,
    merge_works,
)
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, Needs, StatusReport, TaskQuery
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B = b"a", b"b"


def info(slots=2, protocol=1, block="0"):
    return ManagerInfo(protocol, "0.1.0", "3.11", "host", block, "", slots, 1)


def tasks(*numbers):
    return [(Task(number, FUNCTION.id, b"args"), ()) for number in numbers]


def results(*numbers):
    return [(Result(number, ResultKind.VALUE, b"value"), ()) for number in numbers]


def held_by(state, manager):
    return set(state._managers[manager].held)


def queue_length(state):
    return len(state._queue) + len(state._scheduler)


def interchange(*blocks):
    return Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30, blocks=blocks or ["0"])


def work_in(actions):
    return {action.manager: [task.id for task, _ in action.tasks] for action in actions if isinstance(action, SendWork)}


def register(state, manager, slots=2, window=None, now=0):
    state.on_registered(manager, info(slots), now)
    state.on_results(manager, slots if window is None else window, [], now)


def test_tasks_wait_until_a_manager_has_sent_its_window():
    state = interchange()
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    assert state.on_registered(A, info(), 0) == [ReportManagerUp(A, info())]
    assert state.dispatch(0) == []
    state.on_results(A, 2, [], 0)
    assert work_in(state.dispatch(0)) == {A: [0, 1]}
    assert queue_length(state) == 1


def test_idle_slots_of_all_managers_are_filled_before_tasks_are_prefetched():
    state = interchange()
    register(state, A, slots=5, window=50)
    register(state, B, slots=5, window=50)
    state.on_submitted([FUNCTION], tasks(*range(10)))
    assert {manager: len(ids) for manager, ids in work_in(state.dispatch(0)).items()} == {A: 5, B: 5}


def test_slots_that_were_left_are_used_by_the_next_tasks():
    state = interchange()
    register(state, A, slots=4)
    state.on_submitted([FUNCTION], tasks(0))
    assert work_in(state.dispatch(0)) == {A: [0]}
    state.on_submitted([], tasks(1, 2))
    assert work_in(state.dispatch(0)) == {A: [1, 2]}


def test_function_is_sent_once_to_each_manager():
    state = interchange()
    register(state, A, slots=1)
    register(state, B, slots=1)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    first = [action.functions for action in state.dispatch(0)]
    state.on_results(A, 1, results(0), 1)
    again = [action.functions for action in state.dispatch(1)]
    assert first == [[FUNCTION], [FUNCTION]]
    assert again == [[]]


def test_functions_of_waiting_tasks_are_kept_and_all_others_forgotten():
    functions = [Function(bytes([n]) * 16, "f", 0, "", b"code") for n in range(4)]
    needs = {1: Needs(cores=1.0), 3: Needs(cores=99.0)}
    of = [(Task(n, functions[n].id, b"", needs=needs.get(n)), ()) for n in range(4)]
    state = interchange()
    register(state, A, slots=1)
    state.on_submitted(functions, of[:1])
    state.dispatch(0)
    state.on_submitted([], of[1:], may_have_needs=True)
    state.forget_functions()
    assert set(state._functions) == {functions[1].id, functions[2].id}, "0 was sent, and 3 fits no node"
    state.on_cancelled({2: 0}, 0)
    state.forget_functions()
    assert set(state._functions) == {functions[1].id}


def test_orders_to_forget_functions_are_not_merged_with_the_tasks_before():
    first, second, third = ([FUNCTION], tasks(0)), ([FUNCTION], tasks(1)), ([], tasks(2))
    works = [SendWork(A, *first), SendWork(B, *first), SendWork(A, *second, True), SendWork(A, *third)]
    assert merge_works(works) == [
        SendWork(A, *first),
        SendWork(A, [FUNCTION], tasks(1, 2), True),
        SendWork(B, *first),
    ]


def test_late_result_of_a_lost_manager_is_not_delivered():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.on_tick(31) == [ReportManagerDown(A, "silent for 31 s", {0: 0})]
    assert [type(action) for action in state.on_results(A, 2, results(0), 32)] == [SendRefused]


def test_nobody_is_silent_while_messages_wait_to_be_read():
    state = interchange()
    register(state, A)
    assert [type(action) for action in state.on_tick(31, has_heard_all=False)] == [SendHeartbeat]
    state.on_heartbeat(A, 31)
    assert state.on_tick(31) == []


def test_time_in_which_the_interchange_did_not_run_is_no_silence_of_managers():
    state = interchange()
    register(state, A)
    state.on_late(90)
    assert [type(action) for action in state.on_tick(100)] == [SendHeartbeat]
    assert state.on_tick(121) == [ReportManagerDown(A, "silent for 31 s", {})]


def test_result_of_a_task_that_another_manager_holds_is_dropped():
    state = interchange()
    register(state, A)
    register(state, B)
    state.on_submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.on_results(B, 2, results(0), 1) == []
    assert state.on_results(A, 2, results(0), 1) == [SendResults(results(0))]


def test_result_of_an_earlier_attempt_is_not_taken_for_that_of_a_later_one():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], [(Task(0, FUNCTION.id, b"args", attempt=1), ())])
    state.dispatch(0)
    for kind in (ResultKind.CANCELLED, ResultKind.RAISED, ResultKind.VALUE):
        assert state.on_results(A, 2, [(Result(0, kind, b"", attempt=0), ())], 1) == []
    assert held_by(state, A) == {0}
    last = [(Result(0, ResultKind.VALUE, b"", attempt=1), ())]
    assert state.on_results(A, 2, last, 1) == [SendResults(last)]


def test_cancel_of_an_earlier_attempt_leaves_the_later_one_alone():
    state = interchange()
    state.on_submitted([FUNCTION], [(Task(0, FUNCTION.id, b"args", attempt=1), ())])
    assert state.on_cancelled({0: 0}, 0) == []
    register(state, A)
    state.dispatch(0)
    assert state.on_cancelled({0: 0}, 0) == []
    assert state.on_cancelled({0: 1}, 0) == [SendCancel(A, {0: 1})]


def test_manager_with_another_protocol_is_refused_with_a_reason():
    (refusal,) = interchange().on_registered(A, info(protocol=99), 0)
    assert isinstance(refusal, SendRefused)
    assert "protocol 99" in refusal.reason


def test_manager_that_registers_again_keeps_its_tasks_and_those_lost_on_the_way_are_returned():
    state = interchange()
    register(state, A, slots=3)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    actions = state.on_registered(A, info(3), 1, {0: 0, 2: 0})
    assert kinds_of_results(actions) == {1: ResultKind.RETURNED}
    assert [type(action) for action in actions] == [SendResults]
    assert held_by(state, A) == {0, 2}
    state.on_submitted([], tasks(3))
    assert state.dispatch(1) == [], "its window is not known"
    state.on_results(A, 3, [], 1)
    assert [action.functions for action in state.dispatch(1)] == [[FUNCTION]], "the function may have been lost, too"


def test_manager_is_sent_nothing_before_what_it_was_to_stop_has_ended():
    state = interchange()
    state.on_submitted([FUNCTION], tasks(0, 1))
    assert state.on_registered(A, info(), 0, {7: 3}, {8: 0})[1:] == [SendCancel(A, {7: 3})]
    state.on_results(A, 2, [], 0)
    assert state.dispatch(0) == []
    ends = [(Result(7, ResultKind.CANCELLED, b"", attempt=3), ()), (Result(8, ResultKind.VALUE, b""), ())]
    assert state.on_results(A, 2, ends[:1], 1) == []
    assert state.dispatch(1) == []
    assert state.on_results(A, 2, ends[1:], 2) == []
    assert work_in(state.dispatch(2)) == {A: [0, 1]}


def test_manager_that_is_gone_is_refused_when_it_registers():
    state = interchange()
    register(state, A)
    state.on_tick(31)
    assert [type(action) for action in state.on_registered(A, info(), 32)] == [SendRefused]


def test_manager_of_a_block_that_is_not_admitted_any_more_is_refused():
    state = interchange("0", "1")
    state.on_block_gone("1", "killed", 0)
    assert [type(action) for action in state.on_registered(A, info(block="1"), 0)] == [SendRefused]


def test_manager_that_registers_after_its_block_has_ended_is_given_nothing():
    state = interchange()
    state.on_submitted([FUNCTION], tasks(0))
    state.on_block_gone("0", "killed", 0)
    actions = [*state.on_registered(A, info(), 1), *state.on_results(A, 4, [], 1)]
    assert [type(action) for action in actions] == [SendRefused, SendRefused]
    assert state.dispatch(1) == []


def test_nothing_is_kept_of_blocks_that_are_gone():
    state = interchange()
    for number in range(1, 50):
        block, manager = str(number), b"m%d" % number
        state.on_admitted(block)
        state.on_registered(manager, info(block=block), 0)
        state.on_drain_requested(block, 0)
        state.on_manager_left(manager, "drained")
        state.on_block_gone(block, "removed", 0)
    assert list(state._blocks._blocks) == ["0"]
    assert not state._blocks._departed
    assert state._scheduler.kinds._requested == {"0"}


def test_tasks_of_a_manager_that_leaves_are_reported_lost():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    assert state.on_manager_left(A, "drained") == [ReportManagerDown(A, "drained", {0: 0, 1: 0})]


def test_heartbeat_is_sent_to_a_manager_after_half_a_period_without_messages():
    state = interchange()
    register(state, A)
    state.on_heartbeat(A, 9)
    assert state.on_tick(4) == []
    assert state.on_tick(5) == [SendHeartbeat(A)]
    assert state.on_tick(9) == []
    assert state.on_tick(10) == [SendHeartbeat(A)]


def test_managers_of_a_block_that_has_ended_are_lost():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.on_block_gone("0", "it was killed", 0) == [ReportManagerDown(A, "it was killed", {0: 0, 1: 0})]
    assert state.on_block_gone("7", "another", 0) == []
    assert state.dispatch(0) == []


def test_unknown_manager_is_refused():
    assert [type(action) for action in interchange().on_heartbeat(A, 0)] == [SendRefused]


def test_stop_empties_the_queue_and_stops_every_manager():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(*range(9)))
    assert state.on_stop() == [SendStop(A)]
    assert queue_length(state) == 0


def kinds_of_results(actions):
    return {r.id: r.kind for action in actions if isinstance(action, SendResults) for r, _ in action.results}


def test_task_cancelled_in_the_queue_reaches_no_manager():
    state = interchange()
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    assert kinds_of_results(state.on_cancelled({1: 0}, 0)) == {1: ResultKind.CANCELLED}
    register(state, A, slots=3)
    assert work_in(state.dispatch(0)) == {A: [0, 2]}


def test_cancel_is_sent_to_the_manager_that_holds_the_task_only():
    state = interchange()
    register(state, A, slots=1)
    register(state, B, slots=1)
    state.on_submitted([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    (holder,) = [manager for manager in (A, B) if 1 in held_by(state, manager)]
    assert state.on_cancelled({1: 0}, 0) == [SendCancel(holder, {1: 0})]
    stopped = [(Result(1, ResultKind.CANCELLED, b""), ())]
    assert state.on_results(holder, 1, stopped, 1) == [SendResults(stopped)]


def test_cancel_of_a_finished_task_does_nothing():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_results(A, 2, results(0), 1)
    assert state.on_cancelled({0: 0, 99: 0}, 2) == []


def test_cancelled_task_of_a_lost_manager_is_lost_with_it():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_cancelled({0: 0}, 0)
    assert state.on_manager_left(A, "gone") == [ReportManagerDown(A, "gone", {0: 0})]


def test_draining_manager_gets_no_tasks_and_its_results_are_delivered():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.on_drain_requested("0", 1) == [SendDrain(A, "0")]
    assert state.on_results(A, 2, results(0), 2) == [SendResults(results(0))]
    assert state.dispatch(2) == []
    assert state.on_results(A, 2, results(1), 3) == [SendResults(results(1))]
    assert state.on_manager_left(A, "drained") == [ReportManagerDown(A, "drained", {}), ReportDrained("0")]
    assert queue_length(state) == 1


def test_manager_that_drains_by_itself_gets_no_tasks_until_it_leaves():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.on_draining(A, 1) == [SendDrain(A, "0")], "the reply shows that no task is on its way"
    back = [(Result(1, ResultKind.RETURNED, b"host"), ())]
    assert state.on_results(A, 2, [*results(0), *back], 2) == [SendResults([*results(0), *back])]
    assert state.dispatch(2) == []
    assert [manager.is_draining for manager in state.status_report(1, -1, 2).managers] == [True]
    assert state.on_manager_left(A, "done") == [ReportManagerDown(A, "done", {}), ReportBlockEmpty("0")]
    assert [type(action) for action in state.on_draining(B, 3)] == [SendRefused]


def test_block_is_drained_when_its_last_manager_has_left():
    state = interchange()
    register(state, A)
    register(state, B)
    state.on_drain_requested("0", 1)
    assert state.on_manager_left(A, "x") == [ReportManagerDown(A, "x", {})]
    assert state.on_manager_left(B, "x") == [ReportManagerDown(B, "x", {}), ReportDrained("0")]


def test_block_without_managers_is_drained_at_once_and_a_late_manager_drains():
    state = interchange()
    state.on_submitted([FUNCTION], tasks(0))
    assert state.on_drain_requested("0", 0) == [ReportDrained("0")]
    assert state.on_registered(A, info(), 1) == [ReportManagerUp(A, info()), SendDrain(A, "0")]
    state.on_results(A, 2, [], 1)
    assert state.dispatch(1) == []


def test_tasks_of_a_draining_manager_that_is_lost_are_reported_lost():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.on_drain_requested("0", 1)
    assert state.on_block_gone("0", "killed", 0) == [ReportManagerDown(A, "killed", {0: 0})]


def of_two_nodes(rank):
    return ManagerInfo(1, "0.1.0", "3.11", "host", "0", "", 2, 1, node_rank=rank, nodes=2)


def test_after_the_first_of_two_managers_has_left_by_itself_the_second_may_still_connect():
    state = interchange()
    state.on_registered(A, of_two_nodes(0), 0)
    state.on_results(A, 2, [], 0)
    state.on_draining(A, 1)
    assert state.on_manager_left(A, "its block is drained") == [ReportManagerDown(A, "its block is drained", {})]
    state.on_submitted([FUNCTION], tasks(0))
    state.on_registered(B, of_two_nodes(1), 2)
    state.on_results(B, 2, [], 2)
    assert work_in(state.dispatch(2)) == {B: [0]}
    state.on_draining(B, 3)
    assert state.on_manager_left(B, "too") == [ReportManagerDown(B, "too", {0: 0}), ReportBlockEmpty("0")]


def test_block_of_two_nodes_of_which_one_came_is_drained_when_that_one_has_left():
    state = interchange()
    state.on_registered(A, of_two_nodes(0), 0)
    state.on_drain_requested("0", 1)
    assert state.on_manager_left(A, "x") == [ReportManagerDown(A, "x", {}), ReportDrained("0")]
    assert state.on_registered(B, of_two_nodes(1), 2)[1:] == [SendDrain(B, "0")]


def test_block_whose_manager_is_lost_is_not_empty_by_its_own_decision():
    state = interchange()
    register(state, A)
    assert state.on_tick(31) == [ReportManagerDown(A, "silent for 31 s", {})]


def test_idle_time_of_a_block_is_that_of_its_busiest_manager():
    state = interchange()
    assert state.idle_times(0) == {}
    for manager, slots in ((A, 1), (B, 1)):
        register(state, manager, slots)
    state.on_submitted([FUNCTION], tasks(0))
    assert work_in(state.dispatch(5)) == {A: [0]}
    assert state.idle_times(8) == {"0": 0}
    state.on_results(A, 1, results(0), 10)
    state.on_results(A, 1, [], 12)  # a window only
    assert state.idle_times(13) == {"0": 3}


def test_manager_on_hold_finishes_its_tasks_and_gets_no_more():
    state = interchange()
    register(state, A)
    state.on_submitted([FUNCTION], tasks(0, 1, 2))
    assert work_in(state.dispatch(0)) == {A: [0, 1]}
    state.on_hold_requested(A)
    state.on_hold_requested(B)
    assert state.on_results(A, 2, results(0, 1), 1) == [SendResults(results(0, 1))]
    assert state.dispatch(1) == []
    register(state, B)
    assert work_in(state.dispatch(2)) == {B: [2]}


def test_status_report_has_all_managers_and_the_place_of_the_task():
    state = interchange()
    register(state, A, slots=1)
    register(state, B, slots=1)
    state.on_hold_requested(B)
    state.on_submitted([FUNCTION], tasks(5, 6, 7))
    state.dispatch(1)
    expected = [ManagerStatus(A, 1, 0.0, 4, True, False), ManagerStatus(B, 0, 4, 4, False, False)]
    assert state.status_report(9, 5, 4) == StatusReport(9, expected, A, -1)
    assert state.status_report(1, 7, 4) == StatusReport(1, expected, b"", 1)
    state.on_drain_requested("0", 4)
    assert [manager.is_draining for manager in state.status_report(2, -1, 4).managers] == [True, True]


def test_task_query_is_forwarded_to_a_registered_manager():
    state = interchange()
    register(state, A)
    assert state.on_task_query(TaskQuery(1, A, 5), 0) == [SendTaskQuery(A, TaskQuery(1, A, 5))]
    assert state.on_task_query(TaskQuery(2, B, 5), 0) == []


class InterchangeMachine(RuleBasedStateMachine):
    """Managers register, leave, send late results or fall silent at random: each task is reported exactly once."""

    def __init__(self):
        super().__init__()
        self.state = interchange("a", "b")
        self.names = {}
        self.now = 0
        self.submitted = 0
        self.queued = set()
        self.held = {}
        self.reported = []
        self.draining = set()
        self.gone = set()

    def apply(self, actions):
        for action in actions:
            match action:
                case SendWork(manager, _, parcels):
                    assert manager in self.held, "work for a manager that is not registered"
                    assert self.block_of(manager) not in self.draining, "work for a block that drains"
                    for task, _ in parcels:
                        self.queued.remove(task.id)
                        self.held[manager].add(task.id)
                case SendResults(parcels):
                    for result, _ in parcels:
                        next(ids for ids in [self.queued, *self.held.values()] if result.id in ids).remove(result.id)
                        self.reported.append(result.id)
                case SendCancel(manager, ids):
                    assert self.held[manager] >= set(ids), "cancel of a task that the manager does not hold"
                case ReportManagerUp(manager, _):
                    self.held[manager] = set()
                case ReportManagerDown(manager, _, lost):
                    assert self.held.pop(manager) == set(lost)
                    self.gone.add(manager)
                    self.reported += lost
                case ReportDrained(block):
                    assert block in self.draining
                    assert block not in {self.block_of(manager) for manager in self.held}
        return actions

    @staticmethod
    def block_of(manager):
        return "a" if manager < b"3" else "b"

    def name_of(self, place):
        """Manager at *place* now: one that is gone does not come back, another one does."""
        name = self.names.get(place, place + b".0")
        if name not in self.held and name in self.gone:
            name = place + b".%d" % (int(name.partition(b".")[2]) + 1)
        self.names[place] = name
        return name

    @rule(block=st.sampled_from(["a", "b"]))
    def driver_drains(self, block):
        self.draining.add(block)
        actions = self.apply(self.state.on_drain_requested(block, self.now))
        is_empty = block not in {self.block_of(manager) for manager in self.held}
        assert (ReportDrained(block) in actions) == is_empty

    def dispatch(self):
        self.apply(self.state.dispatch(self.now))

    @rule(count=st.integers(1, 9))
    def driver_submits(self, count):
        numbers = range(self.submitted, self.submitted + count)
        self.submitted += count
        self.queued |= set(numbers)
        self.state.on_submitted([FUNCTION], tasks(*numbers))
        self.dispatch()

    @rule(data=st.data(), place=st.sampled_from([b"1", b"2", b"3"]), slots=st.integers(1, 4))
    def manager_registers(self, data, place, slots):
        """A new one, or one that has lost its connection, and some of the tasks on their way to it."""
        manager = self.name_of(place)
        before = sorted(self.held.get(manager, ()))
        kept = data.draw(st.sets(st.sampled_from(before))) if before else ()
        described = info(slots, block=self.block_of(manager))
        self.apply(self.state.on_registered(manager, described, self.now, dict.fromkeys(kept, 0)))
        assert self.held[manager] == set(kept)
        self.dispatch()

    @rule(data=st.data(), window=st.integers(0, 12))
    @precondition(lambda self: self.held)
    def manager_sends_results(self, data, window):
        manager = data.draw(st.sampled_from(sorted(self.held)))
        finished = data.draw(st.lists(st.integers(0, max(0, self.submitted - 1)), max_size=6))
        self.apply(self.state.on_results(manager, window, results(*finished), self.now))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def manager_leaves(self, data):
        self.apply(self.state.on_manager_left(data.draw(st.sampled_from(sorted(self.held))), "left"))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def driver_cancels(self, data):
        ids = data.draw(st.sets(st.integers(0, self.submitted - 1), min_size=1, max_size=5))
        actions = self.apply(self.state.on_cancelled(dict.fromkeys(ids, 0), self.now))
        cancelled = {number for action in actions if isinstance(action, SendCancel) for number in action.tasks}
        assert not ids & self.queued, "a cancelled task is still queued"
        assert cancelled == ids & set().union(*self.held.values()), "a holder of a cancelled task got no cancel"
        self.dispatch()

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds):
        self.now += seconds
        self.apply(self.state.on_tick(self.now))
        self.dispatch()

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        held = [number for ids in self.held.values() for number in ids]
        everywhere = [*self.queued, *held, *self.reported]
        assert sorted(everywhere) == list(range(self.submitted))

    @invariant()
    def the_state_agrees(self):
        assert queue_length(self.state) == len(self.queued)
        assert {manager: held_by(self.state, manager) for manager in self.held} == self.held


InterchangeMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestInterchangeMachine = InterchangeMachine.TestCase
