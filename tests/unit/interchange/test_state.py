"""Stories of the interchange's state machine."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.interchange.actions import (
    Refuse,
    SendCancel,
    SendDrain,
    SendHeartbeat,
    SendQuestion,
    SendResults,
    SendStop,
    SendWork,
    TellDown,
    TellDrained,
    TellUp,
)
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, StatusReport, TaskQuery
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B = b"a", b"b"


def info(slots=2, protocol=1, block="0"):
    return ManagerInfo(protocol, "0.1.0", "3.11", "host", block, "", slots, 1)


def tasks(*numbers):
    return [(Task(number, FUNCTION.id, b"args"), ()) for number in numbers]


def results(*numbers):
    return [(Result(number, ResultKind.VALUE, b"value"), ()) for number in numbers]


def interchange():
    return Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30)


def given(actions):
    return {action.manager: [task.id for task, _ in action.tasks] for action in actions if isinstance(action, SendWork)}


def joined(state, manager, slots=2, window=None, now=0):
    state.registered(manager, info(slots), now)
    state.done(manager, slots if window is None else window, [], now)


def test_tasks_wait_until_a_manager_says_how_many_it_wants():
    state = interchange()
    state.submitted([FUNCTION], tasks(0, 1, 2))
    assert state.registered(A, info(), 0) == [TellUp(A, info())]
    assert state.dispatch(0) == []
    state.done(A, 2, [], 0)
    assert given(state.dispatch(0)) == {A: [0, 1]}
    assert state.queued == 1


def test_idle_slots_of_all_managers_are_filled_before_anybody_gets_tasks_in_advance():
    state = interchange()
    joined(state, A, slots=5, window=50)
    joined(state, B, slots=5, window=50)
    state.submitted([FUNCTION], tasks(*range(10)))
    assert {manager: len(ids) for manager, ids in given(state.dispatch(0)).items()} == {A: 5, B: 5}


def test_room_that_was_left_is_used_by_the_next_tasks():
    state = interchange()
    joined(state, A, slots=4)
    state.submitted([FUNCTION], tasks(0))
    assert given(state.dispatch(0)) == {A: [0]}
    state.submitted([], tasks(1, 2))
    assert given(state.dispatch(0)) == {A: [1, 2]}


def test_a_function_is_sent_once_to_each_manager():
    state = interchange()
    joined(state, A, slots=1)
    joined(state, B, slots=1)
    state.submitted([FUNCTION], tasks(0, 1, 2))
    first = [action.functions for action in state.dispatch(0)]
    state.done(A, 1, results(0), 1)
    again = [action.functions for action in state.dispatch(1)]
    assert first == [[FUNCTION], [FUNCTION]]
    assert again == [[]]


def test_a_late_result_of_a_lost_manager_is_not_delivered_twice():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.ticked(31) == [TellDown(A, "silent for 31 s", [0])]
    assert [type(action) for action in state.done(A, 2, results(0), 32)] == [Refuse]


def test_a_result_of_a_task_that_was_given_to_another_is_dropped():
    state = interchange()
    joined(state, A)
    joined(state, B)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.done(B, 2, results(0), 1) == []
    assert state.done(A, 2, results(0), 1) == [SendResults(results(0))]


def test_a_manager_of_another_protocol_is_told_so():
    (refusal,) = interchange().registered(A, info(protocol=99), 0)
    assert isinstance(refusal, Refuse)
    assert "protocol 99" in refusal.reason


def test_who_registers_anew_has_lost_what_it_held():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    assert state.registered(A, info(), 1) == [TellDown(A, "it registered anew", [0]), TellUp(A, info())]


def test_who_leaves_gives_its_tasks_back_to_the_driver():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    assert state.left(A, "drained") == [TellDown(A, "drained", [0, 1])]


def test_a_manager_that_nothing_was_said_to_is_sent_a_heartbeat():
    state = interchange()
    joined(state, A)
    state.heard(A, 9)
    assert state.ticked(4) == []
    assert state.ticked(5) == [SendHeartbeat(A)]
    assert state.ticked(9) == []
    assert state.ticked(10) == [SendHeartbeat(A)]


def test_a_block_that_has_ended_is_not_waited_for():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.block_gone("0", "it was killed") == [TellDown(A, "it was killed", [0, 1])]
    assert state.block_gone("7", "another") == []
    assert state.dispatch(0) == []


def test_a_stranger_is_refused():
    assert [type(action) for action in interchange().heard(A, 0)] == [Refuse]


def test_at_the_end_every_manager_is_stopped_and_nothing_is_queued():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(*range(9)))
    assert state.stopped() == [SendStop(A)]
    assert state.queued == 0


def answers(actions):
    return {r.id: r.kind for action in actions if isinstance(action, SendResults) for r, _ in action.results}


def test_a_task_that_is_cancelled_in_the_queue_reaches_no_manager():
    state = interchange()
    state.submitted([FUNCTION], tasks(0, 1, 2))
    assert answers(state.cancelled([1], 0)) == {1: ResultKind.CANCELLED}
    joined(state, A, slots=3)
    assert given(state.dispatch(0)) == {A: [0, 2]}


def test_the_manager_that_holds_a_cancelled_task_is_told_and_nobody_else():
    state = interchange()
    joined(state, A, slots=1)
    joined(state, B, slots=1)
    state.submitted([FUNCTION], tasks(0, 1))
    state.dispatch(0)
    (holder,) = [manager for manager in (A, B) if 1 in state.held_by(manager)]
    assert state.cancelled([1], 0) == [SendCancel(holder, [1])]
    stopped = [(Result(1, ResultKind.CANCELLED, b""), ())]
    assert state.done(holder, 1, stopped, 1) == [SendResults(stopped)]


def test_a_cancelled_task_that_was_faster_is_passed_over():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.done(A, 2, results(0), 1)
    assert state.cancelled([0, 99], 2) == []


def test_a_cancelled_task_whose_manager_is_lost_goes_down_with_it():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.cancelled([0], 0)
    assert state.left(A, "gone") == [TellDown(A, "gone", [0])]


def test_a_draining_manager_gets_nothing_more_and_what_it_has_is_delivered():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.drain("0", 1) == [SendDrain(A, "0")]
    assert state.done(A, 2, results(0), 2) == [SendResults(results(0))]
    assert state.dispatch(2) == []
    assert state.done(A, 2, results(1), 3) == [SendResults(results(1))]
    assert state.left(A, "drained") == [TellDown(A, "drained", []), TellDrained("0")]
    assert state.queued == 1


def test_a_manager_that_drains_by_itself_is_given_nothing_more_until_it_leaves():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0, 1, 2))
    state.dispatch(0)
    assert state.drains_itself(A, 1) == []
    back = [(Result(1, ResultKind.RETURNED, b"host"), ())]
    assert state.done(A, 2, [*results(0), *back], 2) == [SendResults([*results(0), *back])]
    assert state.dispatch(2) == []
    assert [manager.is_draining for manager in state.standing(1, -1, 2).managers] == [True]
    assert state.left(A, "done") == [TellDown(A, "done", []), TellDrained("0")]
    assert [type(action) for action in state.drains_itself(B, 3)] == [Refuse]


def test_a_block_is_drained_once_its_last_manager_has_left():
    state = interchange()
    joined(state, A)
    joined(state, B)
    state.drain("0", 1)
    assert state.left(A, "x") == [TellDown(A, "x", [])]
    assert state.left(B, "x") == [TellDown(B, "x", []), TellDrained("0")]


def test_a_block_without_managers_is_drained_at_once_and_one_that_comes_late_is_sent_away():
    state = interchange()
    state.submitted([FUNCTION], tasks(0))
    assert state.drain("0", 0) == [TellDrained("0")]
    assert state.registered(A, info(), 1) == [TellUp(A, info()), SendDrain(A, "0")]
    state.done(A, 2, [], 1)
    assert state.dispatch(1) == []


def test_a_draining_manager_that_is_lost_hands_its_tasks_back():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0))
    state.dispatch(0)
    state.drain("0", 1)
    assert state.block_gone("0", "killed") == [TellDown(A, "killed", [0]), TellDrained("0")]


def test_a_block_is_idle_for_as_long_as_its_busiest_manager():
    state = interchange()
    assert state.idle_times(0) == {}
    for manager, slots in ((A, 1), (B, 1)):
        joined(state, manager, slots)
    state.submitted([FUNCTION], tasks(0))
    assert given(state.dispatch(5)) == {A: [0]}
    assert state.idle_times(8) == {"0": 0}
    state.done(A, 1, results(0), 10)
    state.done(A, 1, [], 12)  # says nothing of tasks
    assert state.idle_times(13) == {"0": 3}


def test_a_manager_on_hold_ends_what_it_has_and_is_given_nothing_more():
    state = interchange()
    joined(state, A)
    state.submitted([FUNCTION], tasks(0, 1, 2))
    assert given(state.dispatch(0)) == {A: [0, 1]}
    state.hold(A)
    state.hold(B)
    assert state.done(A, 2, results(0, 1), 1) == [SendResults(results(0, 1))]
    assert state.dispatch(1) == []
    joined(state, B)
    assert given(state.dispatch(2)) == {B: [2]}


def test_how_things_stand_is_told_when_asked():
    state = interchange()
    joined(state, A, slots=1)
    joined(state, B, slots=1)
    state.hold(B)
    state.submitted([FUNCTION], tasks(5, 6, 7))
    state.dispatch(1)
    expected = [ManagerStatus(A, 1, 0.0, 4, True, False), ManagerStatus(B, 0, 4, 4, False, False)]
    assert state.standing(9, 5, 4) == StatusReport(9, expected, A, -1)
    assert state.standing(1, 7, 4) == StatusReport(1, expected, b"", 1)
    state.drain("0", 4)
    assert [manager.is_draining for manager in state.standing(2, -1, 4).managers] == [True, True]


def test_a_question_is_passed_on_to_a_manager_that_is_there():
    state = interchange()
    joined(state, A)
    assert state.asked(TaskQuery(1, A, 5), 0) == [SendQuestion(A, TaskQuery(1, A, 5))]
    assert state.asked(TaskQuery(2, B, 5), 0) == []


class WhateverHappens(RuleBasedStateMachine):
    """However managers come, go, answer late or fall silent: no task is lost, and none is reported twice."""

    def __init__(self):
        super().__init__()
        self.state = interchange()
        self.now = 0
        self.submitted = 0
        self.queued = set()
        self.held = {}
        self.reported = []
        self.draining = set()

    def follow(self, actions):
        for action in actions:
            match action:
                case SendWork(manager, _, parcels):
                    assert manager in self.held, "work for a manager that is not there"
                    assert self.block_of(manager) not in self.draining, "work for a block that drains"
                    for task, _ in parcels:
                        self.queued.remove(task.id)
                        self.held[manager].add(task.id)
                case SendResults(parcels):
                    for result, _ in parcels:
                        next(ids for ids in [self.queued, *self.held.values()] if result.id in ids).remove(result.id)
                        self.reported.append(result.id)
                case SendCancel(manager, ids):
                    assert self.held[manager] >= set(ids), "a manager is told of a task that it does not hold"
                case TellUp(manager, _):
                    self.held[manager] = set()
                case TellDown(manager, _, lost):
                    assert self.held.pop(manager) == set(lost)
                    self.reported += lost
                case TellDrained(block):
                    assert block in self.draining
                    assert block not in {self.block_of(manager) for manager in self.held}
        return actions

    @staticmethod
    def block_of(manager):
        return "a" if manager < b"3" else "b"

    @rule(block=st.sampled_from(["a", "b"]))
    def driver_drains(self, block):
        self.draining.add(block)
        actions = self.follow(self.state.drain(block, self.now))
        is_empty = block not in {self.block_of(manager) for manager in self.held}
        assert (TellDrained(block) in actions) == is_empty

    def dispatch(self):
        self.follow(self.state.dispatch(self.now))

    @rule(count=st.integers(1, 9))
    def driver_submits(self, count):
        numbers = range(self.submitted, self.submitted + count)
        self.submitted += count
        self.queued |= set(numbers)
        self.state.submitted([FUNCTION], tasks(*numbers))
        self.dispatch()

    @rule(manager=st.sampled_from([b"1", b"2", b"3"]), slots=st.integers(1, 4))
    def manager_registers(self, manager, slots):
        self.follow(self.state.registered(manager, info(slots, block=self.block_of(manager)), self.now))
        self.dispatch()

    @rule(data=st.data(), window=st.integers(0, 12))
    @precondition(lambda self: self.held)
    def manager_answers(self, data, window):
        manager = data.draw(st.sampled_from(sorted(self.held)))
        finished = data.draw(st.lists(st.integers(0, max(0, self.submitted - 1)), max_size=6))
        self.follow(self.state.done(manager, window, results(*finished), self.now))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.held)
    def manager_leaves(self, data):
        self.follow(self.state.left(data.draw(st.sampled_from(sorted(self.held))), "left"))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.submitted)
    def driver_cancels(self, data):
        ids = data.draw(st.sets(st.integers(0, self.submitted - 1), min_size=1, max_size=5))
        actions = self.follow(self.state.cancelled(ids, self.now))
        told = {number for action in actions if isinstance(action, SendCancel) for number in action.tasks}
        assert not ids & self.queued, "what is cancelled is queued no more"
        assert told == ids & set().union(*self.held.values()), "whoever holds it is told"
        self.dispatch()

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds):
        self.now += seconds
        self.follow(self.state.ticked(self.now))
        self.dispatch()

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        held = [number for ids in self.held.values() for number in ids]
        everywhere = [*self.queued, *held, *self.reported]
        assert sorted(everywhere) == list(range(self.submitted))

    @invariant()
    def the_state_agrees(self):
        assert self.state.queued == len(self.queued)
        assert {manager: self.state.held_by(manager) for manager in self.held} == self.held


WhateverHappens.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestWhateverHappens = WhateverHappens.TestCase
