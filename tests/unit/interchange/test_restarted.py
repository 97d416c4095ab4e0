"""Stories of an interchange that takes the place of one that was killed."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cnflow.interchange.actions import (
    Refuse,
    SendCancel,
    SendDrain,
    SendRegisterAgain,
    SendResults,
    SendWork,
    TellDown,
    TellDrained,
    TellUp,
)
from cnflow.interchange.recovery import ALL_SPEAK_WITHIN, RecoveringInterchange
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B, C = b"a", b"b", b"c"


def info(block="0", slots=2, protocol=1):
    return ManagerInfo(protocol, "0.1.0", "3.11", "host", block, "", slots, 1)


def tasks(*numbers):
    return [(Task(number, FUNCTION.id, b"args"), ()) for number in numbers]


def results(*numbers):
    return [(Result(number, ResultKind.VALUE, b"value"), ()) for number in numbers]


def restarted(awaited=None, departed=()):
    chosen = {A: "0", B: "0"} if awaited is None else awaited
    return RecoveringInterchange(1, 10, 30, awaited=chosen, departed=departed, now=0)


def given(actions):
    return {action.manager: [task.id for task, _ in action.tasks] for action in actions if isinstance(action, SendWork)}


def test_nothing_is_given_out_before_all_managers_have_said_what_they_hold():
    state = restarted()
    assert state.introductions() == [SendRegisterAgain(A), SendRegisterAgain(B)]
    state.again([FUNCTION], tasks(0, 1, 2, 3))
    assert state.registered(A, info(), 1, [1]) == [TellUp(A, info())]
    state.done(A, 2, [], 1)
    assert state.introductions() == [SendRegisterAgain(B)]
    assert state.dispatch(1) == []
    state.registered(B, info(), 2, [0])
    state.done(B, 2, [], 2)
    assert given(state.dispatch(2)) == {A: [2], B: [3]}
    assert state.held_by(A) == {1, 2}


def test_a_manager_that_takes_long_finds_its_tasks_given_to_others_and_stops_them():
    state = restarted()
    state.again([FUNCTION], tasks(0, 1))
    state.registered(A, info(), 1)
    state.done(A, 2, [], 1)
    assert given(state.dispatch(ALL_SPEAK_WITHIN)) == {A: [0, 1]}
    assert state.registered(B, info(), 6, [1]) == [TellUp(B, info()), SendCancel(B, [1])]
    assert state.done(B, 2, results(1), 7) == []
    assert state.done(A, 2, results(1), 8) == [SendResults(results(1))]


def test_what_was_done_meanwhile_is_delivered_once_and_not_run_again():
    state = restarted()
    assert state.done(A, 2, results(7), 1) == [SendResults(results(7)), SendRegisterAgain(A)]
    assert state.done(A, 2, results(7), 1) == [SendRegisterAgain(A)]
    state.again([FUNCTION], tasks(7, 8))
    assert state.done(B, 2, results(8), 1) == [SendResults(results(8)), SendRegisterAgain(B)]
    for manager in (A, B):
        state.registered(manager, info(), 2)
        state.done(manager, 2, [], 2)
    assert state.dispatch(2) == []


def test_another_try_of_a_task_that_was_answered_is_run():
    state = restarted({A: "0"})
    state.again([FUNCTION], tasks(0))
    state.done(A, 2, [(Result(0, ResultKind.RAISED, b""), ())], 1)
    state.submitted([], tasks(0))
    state.registered(A, info(), 2)
    state.done(A, 2, [], 2)
    assert given(state.dispatch(2)) == {A: [0]}


def test_only_who_was_known_may_say_that_he_holds_a_task_or_has_done_it():
    state = restarted({A: "0"})
    state.again([FUNCTION], tasks(0, 1))
    assert state.done(C, 2, results(0), 1) == [SendRegisterAgain(C)]
    assert state.registered(C, info(), 1, [0, 1]) == [TellUp(C, info()), SendCancel(C, [0, 1])]
    assert state.held_by(C) == set()


def test_who_was_lost_before_the_restart_is_refused_as_ever():
    state = restarted(departed=[C])
    assert [type(action) for action in state.heard(C, 1)] == [Refuse]
    assert [type(action) for action in state.done(C, 1, results(0), 1)] == [Refuse]


def test_a_manager_that_never_comes_back_is_given_up_and_refused_later():
    state = restarted({A: "0"})
    assert state.ticked(29) == []
    (down,) = state.ticked(30)
    assert (down.manager, down.lost) == (A, [])
    assert state.introductions() == []
    assert [type(action) for action in state.heard(A, 31)] == [Refuse]


def test_a_block_is_not_drained_before_its_managers_have_come_back_and_left():
    state = restarted({A: "0", B: "0", C: "1"})
    assert state.drain("0", 1) == []
    assert state.registered(A, info(), 1, [0]) == [TellUp(A, info()), SendDrain(A, "0")]
    assert state.left(A, "drained") == [TellDown(A, "drained", [0])]
    assert state.left(B, "drained") == [TellDown(B, "drained", []), TellDrained("0")]


def test_a_block_of_which_nobody_is_awaited_is_drained_at_once():
    state = restarted({A: "0"})
    assert state.drain("1", 1) == [TellDrained("1")]


def test_a_block_that_has_ended_is_not_awaited():
    state = restarted({A: "0", B: "1"})
    state.drain("0", 1)
    assert state.block_gone("0", "killed") == [TellDown(A, "killed", []), TellDrained("0")]
    assert state.introductions() == [SendRegisterAgain(B)]


def test_a_task_that_is_cancelled_before_its_manager_is_back_is_answered_and_then_stopped():
    state = restarted({A: "0"})
    state.again([FUNCTION], tasks(0, 1))
    ((answered,),) = [action.results for action in state.cancelled([0], 1)]
    assert (answered[0].id, answered[0].kind) == (0, ResultKind.CANCELLED)
    assert state.registered(A, info(), 2, [0, 1]) == [TellUp(A, info()), SendCancel(A, [0])]
    assert state.held_by(A) == {1}


def test_an_interchange_that_is_not_a_restart_has_stopped_what_a_manager_says_it_holds():
    assert Interchange(1, 10, 30).registered(A, info(), 0, [5]) == [TellUp(A, info()), SendCancel(A, [5])]


BLOCKS = {A: "0", B: "0", C: "1"}


NEEDS = Needs(cores=4.0)


def needy(number, needs=NEEDS):
    return (Task(number, FUNCTION.id, b"args", needs=needs), ())


def node(cores, block="0"):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", 2, 1, "", Node(cores=cores, worker_cores=1.0))


def test_a_task_with_needs_waits_for_all_nodes_before_it_is_said_to_fit_none():
    state = restarted()
    state.again([FUNCTION], [needy(0)])
    assert state.registered(A, node(2.0), 1) == [TellUp(A, node(2.0))]
    state.done(A, 2, [], 1)
    assert state.dispatch(ALL_SPEAK_WITHIN) == []
    state.registered(B, node(8.0), 6)
    state.done(B, 2, [], 6)
    assert given(state.dispatch(6)) == {B: [0]}


def test_a_task_with_needs_that_a_node_comes_back_with_takes_its_room_there():
    for claim_first in (False, True):
        state = restarted({A: "0"})
        if not claim_first:
            assert state.again([FUNCTION], [needy(0), needy(1)]) == []
        state.registered(A, node(4.0), 1, [0])
        if claim_first:
            state.again([FUNCTION], [needy(0), needy(1)])
        state.done(A, 2, [], 1)
        assert given(state.dispatch(1)) == {}
        assert state.done(A, 2, results(0), 2) == [SendResults(results(0))]
        assert given(state.dispatch(2)) == {A: [1]}


def test_a_task_with_needs_that_is_cancelled_before_the_nodes_are_back_is_answered():
    state = restarted({A: "0"})
    state.again([FUNCTION], [needy(0)])
    ((answer,),) = [action.results for action in state.cancelled([0], 1)]
    assert (answer[0].id, answer[0].kind) == (0, ResultKind.CANCELLED)
    assert state.registered(A, node(4.0), 2, [0]) == [TellUp(A, node(4.0)), SendCancel(A, [0])]


def test_a_manager_on_hold_stays_so():
    state = restarted({A: "0"})
    state.hold(A)
    state.again([FUNCTION], tasks(0))
    state.registered(A, info(), 1)
    state.done(A, 2, [], 1)
    assert state.dispatch(1) == []


class Killed(RuleBasedStateMachine):
    """However an interchange is killed, and whoever comes back: each task is answered; run once where nobody left."""

    @initialize(data=st.data(), count=st.integers(0, 8))
    def is_killed(self, data, count):
        self.now = 0
        self.count = count
        where = [data.draw(st.sampled_from(["queue", A, B, C, "done A", "done B"])) for _ in range(count)]
        self.held = {m: {n for n, place in enumerate(where) if place == m} for m in (A, B, C)}
        self.unsent = {
            m: [n for n, place in enumerate(where) if place == f"done {m.decode().upper()}"] for m in self.held
        }
        self.runs = [0 if place == "queue" else 1 for place in where]
        self.answered = set()
        self.driver_knows = set()
        self.left = set()
        self.is_late = False
        self.state = RecoveringInterchange(1, 10, 30, awaited=BLOCKS, departed=[], now=0)
        self.state.again([FUNCTION], tasks(*range(count)))

    def follow(self, actions):
        for action in actions:
            match action:
                case SendWork(manager, _, parcels):
                    assert manager in self.driver_knows
                    for task, _ in parcels:
                        self.runs[task.id] += 1
                        self.held[manager].add(task.id)
                case SendCancel(manager, ids):
                    self.held[manager] -= set(ids)
                case SendResults(parcels):
                    ids = {result.id for result, _ in parcels}
                    assert not ids & self.answered, "answered twice"
                    self.answered |= ids
                case TellUp(manager, _):
                    self.driver_knows.add(manager)
                case TellDown(manager, _, lost):
                    self.driver_knows.discard(manager)
                    self.left.add(manager)
                    self.state.submitted([], tasks(*lost))  # the driver tries again
        return actions

    @rule(manager=st.sampled_from([A, B, C]))
    def comes_back(self, manager):
        if manager in self.driver_knows or manager in self.left:
            return
        if self.unsent[manager]:
            self.follow(self.state.done(manager, 0, results(*self.unsent[manager]), self.now))
        self.follow(self.state.registered(manager, info(BLOCKS[manager]), self.now, sorted(self.held[manager])))
        self.follow(self.state.done(manager, 2, [], self.now))
        self.dispatch()

    @rule(manager=st.sampled_from([A, B, C]))
    def finishes(self, manager):
        if manager in self.driver_knows:
            done, self.held[manager] = sorted(self.held[manager]), set()
            self.follow(self.state.done(manager, 2, results(*done), self.now))
            self.dispatch()

    @rule(manager=st.sampled_from([A, B, C]))
    def leaves(self, manager):
        if manager not in self.left and len(self.left) < 2:
            self.left.add(manager)
            self.held[manager] = set()
            self.follow(self.state.left(manager, "left"))
            self.dispatch()

    @rule(seconds=st.integers(1, 7))
    def time_passes(self, seconds):
        self.now += seconds
        for manager in self.driver_knows:
            self.state.heard(manager, self.now)
        self.is_late = self.is_late or self.now >= ALL_SPEAK_WITHIN
        self.follow(self.state.ticked(self.now))
        self.dispatch()

    def dispatch(self):
        self.follow(self.state.dispatch(self.now))

    @invariant()
    def no_task_was_run_twice_while_nobody_was_late_or_left(self):
        if not self.is_late and not self.left:
            assert max(self.runs, default=0) <= 1

    def teardown(self):
        if not hasattr(self, "state"):
            return
        for manager in (A, B, C):
            self.comes_back(manager)
        for _ in range(self.count + 1):
            for manager in sorted(self.driver_knows):
                self.finishes(manager)
            self.time_passes(1)
        if self.driver_knows:
            assert self.answered == set(range(self.count)), "lost"


Killed.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestKilled = Killed.TestCase
