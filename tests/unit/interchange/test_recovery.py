"""Recovery of an interchange that replaces one that was killed."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cnflow.interchange.actions import (
    ReportDrained,
    ReportManagerDown,
    ReportManagerUp,
    ReportUnreleased,
    SendCancel,
    SendDrain,
    SendRefused,
    SendRegisterAgain,
    SendResults,
    SendStop,
    SendWork,
    blobs_not_sent,
)
from cnflow.interchange.recovery import REGISTRATION_TIMEOUT, Predecessor, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.model.item import Item
from cnflow.wire.bulk import Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B, C = b"a", b"b", b"c"


def info(block="0", slots=2, protocol=1):
    return ManagerInfo(protocol, "0.1.0", "3.11", "host", block, "", slots, 1)


def tasks(*numbers):
    return [(Task(number, FUNCTION.id, b"args"), ()) for number in numbers]


def results(*numbers):
    return [(Result(number, ResultKind.VALUE, b"value"), ()) for number in numbers]


def held_by(state, manager):
    return set(state._managers[manager].held)


def recovering(awaited=None, departed=(), now=0, heartbeat_period=10):
    chosen = {A: "0", B: "0"} if awaited is None else awaited
    predecessor = Predecessor({"0", *chosen.values()}, chosen, dict.fromkeys(departed, "0"))
    return RecoveringInterchange(1, heartbeat_period, 30, predecessor, now)


def kinds_of_results(actions):
    return {
        result.id: ResultKind(result.kind)
        for action in actions
        if isinstance(action, SendResults)
        for result, _ in action.results
    }


def work_in(actions):
    return {action.manager: [task.id for task, _ in action.tasks] for action in actions if isinstance(action, SendWork)}


def test_no_task_is_dispatched_before_all_awaited_managers_have_registered():
    state = recovering()
    state.on_resubmitted([FUNCTION], tasks(0, 1, 2, 3))
    assert state.on_registered(A, info(), 1, {1: 0}) == [ReportManagerUp(A, info())]
    state.on_results(A, 2, [], 1)
    assert state.dispatch(1) == []
    state.on_registered(B, info(), 2, {0: 0})
    state.on_results(B, 2, [], 2)
    assert work_in(state.dispatch(2)) == {A: [2], B: [3]}
    assert held_by(state, A) == {1, 2}


def test_driver_judges_what_a_manager_keeps_after_the_results_that_were_put_off():
    state = recovering({A: "0"})
    kept = ReportUnreleased(A, [b"part"])
    state.on_registered(A, info(), 1, {1: 0})
    state.on_results(A, 2, results(1), 1)
    assert state.in_order(kept) == []
    state.on_resubmitted([FUNCTION], tasks(1))
    assert state.dispatch(2) == [ReportManagerUp(A, info()), SendResults(results(1)), kept]
    assert state.in_order(kept) == [kept]


def test_part_of_a_result_that_is_not_sent_on_is_named_and_no_other():
    offered = [(Result(n, ResultKind.VALUE, b"", blobs=(Offer(b"%d" % n, 9, 0, A),)), ()) for n in range(2)]
    assert blobs_not_sent([*offered, *results(2)], [SendResults(offered[:1])]) == [b"1"]
    assert blobs_not_sent(results(2), []) == []


def test_functions_of_tasks_that_may_yet_be_claimed_are_kept():
    other = Function(b"o" * 16, "o", 0, "", b"code")
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION, other], tasks(0))
    state.forget_functions()
    assert [*state._functions] == [FUNCTION.id]


def test_late_manager_cancels_tasks_that_were_dispatched_to_others():
    state = recovering()
    state.on_resubmitted([FUNCTION], tasks(0, 1))
    state.on_registered(A, info(), 1)
    state.on_results(A, 2, [], 1)
    assert work_in(state.dispatch(REGISTRATION_TIMEOUT)) == {A: [0, 1]}
    assert state.on_registered(B, info(), 6, {1: 0}) == [ReportManagerUp(B, info()), SendCancel(B, {1: 0})]
    assert state.on_results(B, 2, results(1), 7) == []
    assert state.on_results(A, 2, results(1), 8) == [SendResults(results(1))]


def test_events_of_managers_wait_until_all_unfinished_tasks_are_known():
    state = recovering({A: "0"})
    assert state.on_registered(A, info(), 1, {1: 0}) == []
    assert state.on_results(A, 2, results(1), 1) == []
    assert state.on_draining(A, 1) == []
    assert state.on_heartbeat(A, 1) == []
    assert state.is_putting_off
    state.on_resubmitted([FUNCTION], tasks(0), is_last=False)
    assert state.dispatch(2) == []
    state.on_resubmitted([], tasks(1))
    assert state.dispatch(2) == [ReportManagerUp(A, info()), SendResults(results(1)), SendDrain(A, "0")]
    assert not state.is_putting_off


def test_result_of_a_task_that_the_driver_does_not_wait_for_is_dropped():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], tasks(0))
    assert state.on_registered(A, info(), 1, {0: 0, 1: 0}) == [ReportManagerUp(A, info()), SendCancel(A, {1: 0})]
    assert state.on_results(A, 2, results(0, 1), 1) == [SendResults(results(0))]


def test_attempt_before_the_present_one_is_not_claimed():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], [(Task(0, FUNCTION.id, b"args", attempt=1), ())])
    assert state.on_registered(A, info(), 1, {0: 0})[1:] == [SendCancel(A, {0: 0})]
    old = [(Result(0, ResultKind.RAISED, b"", attempt=0), ())]
    assert state.on_results(A, 2, old, 1) == []
    assert work_in(state.dispatch(1)) == {A: [0]}


def test_awaited_manager_of_a_block_that_is_over_is_given_up_once_the_tasks_are_known():
    state = RecoveringInterchange(1, 10, 30, Predecessor(["1"], {A: "0", B: "1"}, {}), 0)
    assert state.on_resubmitted([FUNCTION], tasks(0)) == [ReportManagerDown(A, "its block has ended", {})]
    assert state.on_registered(A, info(), 1, {0: 0}) == [], "it waits, as its block might be admitted"
    state.on_registered(B, info("1"), 1)
    state.on_results(B, 2, [], 1)
    assert work_in(state.dispatch(1)) == {B: [0]}


def test_new_try_of_a_reported_task_is_run():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], tasks(0))
    state.on_registered(A, info(), 1, {0: 0})
    state.on_results(A, 2, [(Result(0, ResultKind.RAISED, b""), ())], 1)
    state.on_submitted([], [(Task(0, FUNCTION.id, b"args", attempt=1), ())])
    assert work_in(state.dispatch(2)) == {A: [0]}


def test_only_an_awaited_manager_may_claim_tasks_or_send_results():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], tasks(0, 1))
    assert state.on_results(C, 2, results(0), 1) == [SendRegisterAgain(C)]
    assert state.on_registered(C, info(), 1, {0: 0, 1: 0}) == [ReportManagerUp(C, info()), SendCancel(C, {0: 0, 1: 0})]
    assert held_by(state, C) == set()


def test_manager_lost_before_the_restart_is_refused():
    state = recovering(departed=[C])
    state.on_resubmitted([], [])
    assert [type(action) for action in state.on_heartbeat(C, 1)] == [SendRefused]
    assert [type(action) for action in state.on_results(C, 1, results(0), 1)] == [SendRefused]


def test_manager_that_does_not_return_is_given_up_and_refused_later():
    state = recovering({A: "0"})
    assert state.on_tick(31) == [], "the driver has yet to say what is unfinished"
    state.on_resubmitted([], [])
    assert state.on_tick(29) == []
    (down,) = state.on_tick(30)
    assert (down.manager, down.lost) == (A, {})
    assert [type(action) for action in state.on_heartbeat(A, 31)] == [SendRefused]


def test_block_is_not_drained_before_its_awaited_managers_have_left():
    state = recovering({A: "0", B: "0", C: "1"})
    assert state.on_drain_requested("0", 1) == []
    state.on_resubmitted([FUNCTION], tasks(0))
    assert state.on_registered(A, info(), 1, {0: 0}) == [ReportManagerUp(A, info()), SendDrain(A, "0")]
    assert state.on_manager_left(A, "drained") == [ReportManagerDown(A, "drained", {0: 0})]
    assert state.on_manager_left(B, "drained") == [ReportManagerDown(B, "drained", {}), ReportDrained("0")]


def test_block_without_awaited_managers_is_drained_at_once():
    state = recovering({A: "0"})
    assert state.on_drain_requested("1", 1) == [ReportDrained("1")]


def test_managers_of_a_block_that_has_ended_are_not_awaited():
    state = recovering({A: "0", B: "1"})
    state.on_drain_requested("0", 1)
    assert state.on_block_gone("0", "killed", 0) == [ReportManagerDown(A, "killed", {})]


def test_task_cancelled_before_its_manager_returns_is_reported_and_then_stopped():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], tasks(0, 1))
    ((reported,),) = [action.results for action in state.on_cancelled({0: 0}, 1)]
    assert (reported[0].id, reported[0].kind) == (0, ResultKind.CANCELLED)
    assert state.on_registered(A, info(), 2, {0: 0, 1: 0}) == [ReportManagerUp(A, info()), SendCancel(A, {0: 0})]
    assert held_by(state, A) == {1}


def test_interchange_that_is_not_a_restart_cancels_tasks_that_a_new_manager_holds():
    assert Interchange(1, 10, 30, ["0"]).on_registered(A, info(), 0, {5: 0}) == [
        ReportManagerUp(A, info()),
        SendCancel(A, {5: 0}),
    ]


def test_manager_of_another_driver_keeps_tasks_that_this_driver_cannot_name():
    state = RecoveringInterchange(1, 10, 30, Predecessor(["0"], {A: "0"}, {}, keeps_unknown=True, is_adoption=True), 0)
    assert state.on_registered(A, info(), 1, {7: 3}) == [ReportManagerUp(A, info())]
    assert held_by(state, A) == {7}
    done = [(Result(7, ResultKind.VALUE, b"", attempt=3), ())]
    assert state.on_results(A, 2, done, 1) == [SendResults(done)]


BLOCKS = {A: "0", B: "0", C: "1"}


NEEDS = Needs(cores=4.0)


def task_with_needs(number, needs=NEEDS):
    return (Task(number, FUNCTION.id, b"args", needs=needs), ())


def node(cores, block="0"):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", 2, 1, "", Node(cores=cores, worker_cores=1.0))


def test_task_with_needs_waits_for_all_awaited_nodes_before_it_is_unfit():
    state = recovering()
    state.on_resubmitted([FUNCTION], [task_with_needs(0)])
    assert state.on_registered(A, node(2.0), 1) == [ReportManagerUp(A, node(2.0))]
    state.on_results(A, 2, [], 1)
    assert state.dispatch(REGISTRATION_TIMEOUT) == []
    state.on_registered(B, node(8.0), 6)
    state.on_results(B, 2, [], 6)
    assert work_in(state.dispatch(6)) == {B: [0]}


def test_claimed_task_with_needs_is_allocated_on_its_node():
    for claim_first in (False, True):
        state = recovering({A: "0"})
        if not claim_first:
            assert state.on_resubmitted([FUNCTION], [task_with_needs(0), task_with_needs(1)]) == []
        state.on_registered(A, node(4.0), 1, {0: 0})
        if claim_first:
            state.on_resubmitted([FUNCTION], [task_with_needs(0), task_with_needs(1)])
        state.on_results(A, 2, [], 1)
        assert work_in(state.dispatch(1)) == {}
        assert state.on_results(A, 2, results(0), 2) == [SendResults(results(0))]
        assert work_in(state.dispatch(2)) == {A: [1]}


def test_task_with_needs_cancelled_before_the_nodes_return_is_reported():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], [task_with_needs(0)])
    ((answer,),) = [action.results for action in state.on_cancelled({0: 0}, 1)]
    assert (answer[0].id, answer[0].kind) == (0, ResultKind.CANCELLED)
    assert state.on_registered(A, node(4.0), 2, {0: 0}) == [ReportManagerUp(A, node(4.0)), SendCancel(A, {0: 0})]


def test_manager_on_hold_stays_on_hold():
    state = recovering({A: "0"})
    state.on_hold_requested(A)
    state.on_resubmitted([FUNCTION], tasks(0))
    state.on_registered(A, info(), 1)
    state.on_results(A, 2, [], 1)
    assert state.dispatch(1) == []


# Stories of nodes that are not the same as new ones


def half_over(life=3600.0, left=1200.0, block="0"):
    return ManagerInfo(
        1, "0.1.0", "3.11", "host", block, "", 4, 1, "", Node(cores=4.0, worker_cores=1.0, life=life, left=left)
    )


def four_cores(block="0"):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", 4, 1, "", Node(cores=4.0, worker_cores=1.0))


def test_node_that_comes_back_full_is_given_no_plain_task_if_its_manager_is_first():
    state = recovering({A: "0"})
    state.on_registered(A, four_cores(), 1, {0: 0})
    state.on_results(A, 4, [], 1)
    state.on_resubmitted([FUNCTION], [task_with_needs(0), *tasks(1)], is_last=False)
    state.on_resubmitted([], tasks(2, 3))
    assert work_in(state.dispatch(1)) == {}
    assert state.on_results(A, 4, results(0), 2) == [SendResults(results(0))]
    assert work_in(state.dispatch(2)) == {A: [1, 2, 3]}


def test_node_that_comes_back_full_is_given_no_plain_task_if_the_driver_is_first():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], [task_with_needs(0), *tasks(1, 2, 3)])
    state.on_registered(A, four_cores(), 1, {0: 0})
    state.on_results(A, 4, [], 1)
    assert work_in(state.dispatch(1)) == {}


def test_task_that_fits_a_fresh_block_does_not_fail_when_all_blocks_are_half_over():
    for needs in (None, Needs(cores=1.0)):
        state = recovering({A: "0"}, now=2400)
        state.on_resubmitted([FUNCTION], [(Task(0, FUNCTION.id, b"args", needs=needs, walltime=1800.0), ())])
        actions = [*state.on_registered(A, half_over(), 2401), *state.on_results(A, 4, [], 2401)]
        assert kinds_of_results([*actions, *state.dispatch(2401)]) == {}, "a new block would have an hour"


def test_manager_that_registers_twice_keeps_what_it_has():
    state = recovering({A: "0"})
    state.on_resubmitted([FUNCTION], tasks(0))
    state.on_registered(A, info(), 1, {0: 0})
    assert state.on_registered(A, info(), 1, {0: 0}) == []
    assert held_by(state, A) == {0}


def test_late_result_of_an_earlier_attempt_is_not_taken_for_that_of_the_next_on_the_same_manager():
    state = recovering({A: "0", B: "1"})
    state.on_resubmitted([FUNCTION], tasks(0))
    state.on_registered(B, info("1"), 1)
    state.on_results(B, 1, [], 1)
    assert work_in(state.dispatch(REGISTRATION_TIMEOUT)) == {B: [0]}
    assert state.on_registered(A, info(), 6, {0: 0})[1:] == [SendCancel(A, {0: 0})]
    assert state.on_block_gone("1", "killed", 0) == [ReportManagerDown(B, "killed", {0: 0})]
    state.on_submitted([], [(Task(0, FUNCTION.id, b"args", attempt=1), ())])
    state.on_results(A, 2, [], 7)
    assert work_in(state.dispatch(7)) == {}, "A still has the attempt that it stops"
    assert state.on_results(A, 2, [(Result(0, ResultKind.CANCELLED, b"", attempt=0), ())], 8) == []
    assert work_in(state.dispatch(8)) == {A: [0]}
    assert state.on_results(A, 2, [(Result(0, ResultKind.CANCELLED, b"", attempt=0), ())], 9) == []
    assert held_by(state, A) == {0}


def test_no_manager_is_drained_as_of_no_use_before_tasks_are_dispatched():
    state = recovering({A: "0", B: "1"}, heartbeat_period=2)
    state.on_resubmitted([FUNCTION], tasks(0, 1))
    state.on_registered(A, half_over(life=8.0, left=8.0), 0.5)
    state.on_results(A, 4, [], 0.5)
    actions = state.on_tick(4.6)
    assert REGISTRATION_TIMEOUT > 4.6
    assert not [action for action in actions if isinstance(action, SendDrain)]


def test_stop_that_the_dead_interchange_ordered_is_no_end_of_a_task_that_nobody_cancelled():
    """The predecessor had sent task 0 to B as well, since A was late, and ordered A to stop it; then it was killed."""
    state = recovering({A: "0", B: "1"})
    state.on_resubmitted([FUNCTION], tasks(0))
    stopped = [(Result(0, ResultKind.CANCELLED, b""), ())]
    state.on_registered(A, info(), 1, {}, {0: 0})
    assert kinds_of_results(state.on_results(A, 4, stopped, 1)) == {}
    state.on_registered(B, info("1"), 1, {0: 0})
    assert held_by(state, B) == {0}


def test_manager_that_was_given_up_is_refused_when_it_registers_as_well():
    state = recovering({A: "0", B: "1"})
    state.on_resubmitted([FUNCTION], tasks(0))
    state.on_tick(31)
    assert [type(action) for action in state.on_results(A, 0, [], 32)] == [SendRefused]
    assert [type(action) for action in state.on_registered(A, info(), 32, {0: 0})] == [SendRefused]


def test_walltime_too_long_for_every_block_fails_once_all_managers_are_back():
    state = recovering({A: "0", B: "1"})
    state.on_resubmitted([FUNCTION], [(Task(0, FUNCTION.id, b"args", walltime=7200.0), ())])
    state.on_registered(A, half_over(), 1)
    state.on_results(A, 4, [], 1)
    assert kinds_of_results(state.dispatch(REGISTRATION_TIMEOUT)) == {}
    state.on_registered(B, half_over(block="1"), 6)
    state.on_results(B, 4, [], 6)
    assert kinds_of_results([*state.dispatch(6), *state.dispatch(6)]) == {0: ResultKind.DOES_NOT_FIT}


class RecoveryMachine(RuleBasedStateMachine):
    """Random restarts: each task is reported; each runs once if no manager leaves or is late."""

    @initialize(data=st.data(), count=st.integers(0, 8))
    def interchange_is_killed(self, data, count):
        self.now = 0
        self.count = count
        where = [data.draw(st.sampled_from(["queue", A, B, C, "done A", "done B"])) for _ in range(count)]
        self.held = {m: {n for n, place in enumerate(where) if place == m} for m in (A, B, C)}
        self.unsent = {
            m: [n for n, place in enumerate(where) if place == f"done {m.decode().upper()}"] for m in self.held
        }
        self.stopped = {m: set() for m in self.held}
        self.runs = [0 if place == "queue" else 1 for place in where]
        self.reported = set()
        self.registered = set()
        self.left = set()
        self.is_late = False
        self.state = recovering(BLOCKS)
        self.state.on_resubmitted([FUNCTION], tasks(*range(count)))

    def apply(self, actions):
        for action in actions:
            match action:
                case SendWork(manager, _, parcels):
                    assert manager in self.registered
                    for task, _ in parcels:
                        self.runs[task.id] += 1
                        self.held[manager].add(task.id)
                case SendCancel(manager, ids):
                    self.held[manager] -= set(ids)
                    self.stopped[manager] |= set(ids)
                case SendResults(parcels):
                    ids = {result.id for result, _ in parcels}
                    assert not ids & self.reported, "reported twice"
                    self.reported |= ids
                case ReportManagerUp(manager, _):
                    self.registered.add(manager)
                case ReportManagerDown(manager, _, lost):
                    self.registered.discard(manager)
                    self.left.add(manager)
                    self.state.on_submitted([], tasks(*lost))  # the driver tries again
        return actions

    @rule(manager=st.sampled_from([A, B, C]))
    def manager_returns(self, manager):
        if manager in self.registered or manager in self.left:
            return
        held = dict.fromkeys({*self.held[manager], *self.unsent[manager]}, 0)
        self.apply(self.state.on_registered(manager, info(BLOCKS[manager]), self.now, held))
        self.apply(self.state.on_results(manager, 2, results(*self.unsent[manager]), self.now))
        self.dispatch()

    @rule(manager=st.sampled_from([A, B, C]))
    def manager_finishes(self, manager):
        if manager in self.registered:
            done, self.held[manager] = sorted(self.held[manager]), set()
            ends = [(Result(number, ResultKind.CANCELLED, b""), ()) for number in sorted(self.stopped[manager])]
            self.stopped[manager] = set()
            self.apply(self.state.on_results(manager, 2, [*results(*done), *ends], self.now))
            self.dispatch()

    @rule(manager=st.sampled_from([A, B, C]))
    def manager_leaves(self, manager):
        if manager not in self.left and len(self.left) < 2:
            self.left.add(manager)
            self.held[manager] = set()
            self.apply(self.state.on_manager_left(manager, "left"))
            self.dispatch()

    @rule(seconds=st.integers(1, 7))
    def time_passes(self, seconds):
        self.now += seconds
        for manager in self.registered:
            self.state.on_heartbeat(manager, self.now)
        self.is_late = self.is_late or self.now >= REGISTRATION_TIMEOUT
        self.apply(self.state.on_tick(self.now))
        self.dispatch()

    def dispatch(self):
        self.apply(self.state.dispatch(self.now))

    @invariant()
    def no_task_runs_twice_if_no_manager_is_late_or_leaves(self):
        if not self.is_late and not self.left:
            assert max(self.runs, default=0) <= 1

    def teardown(self):
        if not hasattr(self, "state"):
            return
        for manager in (A, B, C):
            self.manager_returns(manager)
        for _ in range(self.count + 1):
            for manager in sorted(self.registered):
                self.manager_finishes(manager)
            self.time_passes(1)
        if self.registered:
            assert self.reported == set(range(self.count)), "lost"


RecoveryMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestRecoveryMachine = RecoveryMachine.TestCase


def test_manager_that_comes_back_for_another_block_is_refused():
    state = RecoveringInterchange(1, 10, 30, Predecessor({"0", "1"}, {A: "0"}, {}), 0)
    state.on_resubmitted([], [])
    assert [type(action) for action in state.on_registered(A, info("1"), 1)] == [SendRefused]
    gone = state.on_block_gone("0", "over", 2)
    assert [action.manager for action in gone if isinstance(action, ReportManagerDown)] == [A]


def test_managers_whose_registration_is_put_off_are_stopped_with_the_run():
    state = RecoveringInterchange(1, 10, 30, Predecessor({"0"}, {A: "0"}, {}), 0)
    state.on_registered(A, info("0"), 1)
    assert state.on_stop() == [SendStop(A)]


def with_items(number, *items):
    return Task(number, FUNCTION.id, b"args", items=items), ()


def test_items_that_managers_have_are_known_again_from_their_tasks_and_sources():
    state = recovering()
    mine = Item(b"k" * 16 + b"driver", 10**9)
    left = Item(b"l" * 16 + b"left", 10**9, source=B)
    state.on_resubmitted([FUNCTION], [with_items(1, mine), with_items(2, left)])
    state.on_registered(A, info(), 1, {1: 0})
    state.on_results(A, 2, [], 1)
    state.on_registered(B, info(), 1)
    state.on_results(B, 2, [], 1)
    works = [action for action in state.dispatch(2) if isinstance(action, SendWork)]
    assert [(work.manager, [task.id for task, _ in work.tasks]) for work in works] == [(B, [2])]
    assert state.places.best_holders([mine])[0] == A


def test_awaited_manager_is_not_gone_before_it_is_given_up():
    state = recovering()
    assert not state.is_gone(A)
    state.on_resubmitted([FUNCTION], [])
    state.on_registered(B, info(), 1)
    state.dispatch(1)
    assert (state.is_gone(A), state.is_gone(B), state.is_gone(C)) == (False, False, True)
    state.on_tick(31)
    assert (state.is_gone(A), state.is_gone(B)) == (True, False)


def test_items_of_a_result_that_is_not_sent_are_the_drivers_to_judge():
    item = Item(b"k" * 16 + b"left", 5, source=A)
    stale = [(Result(1, ResultKind.VALUE, b"", items=(item,)), ())]
    assert blobs_not_sent(stale, []) == [item.id]
