"""Stories of tasks that say what they need, through the interchange's state machine."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.interchange.actions import SendCancel, SendResults, SendWork, TellDown
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B = b"a", b"b"


def info(slots=4, cores=None, accelerators=0, memory=0):
    node = Node(float(slots if cores is None else cores), memory, accelerators)
    return ManagerInfo(1, "0.1.0", "3.11", "host", "0", "", slots, 1, "", node)


def interchange(**managers):
    state = Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30)
    for name, said in managers.items():
        state.registered(name.encode(), said, 0)
        state.done(name.encode(), said.slots, [], 0)
    return state


def submit(state, *wanted):
    """Each is ``(number, needs)``, or a number alone."""
    pairs = [each if isinstance(each, tuple) else (each, None) for each in wanted]
    parcels = [(Task(number, FUNCTION.id, b"args", needs=needs), ()) for number, needs in pairs]
    return state.submitted([FUNCTION], parcels, may_have_needs=True)


def given(state):
    return {
        action.manager: [task.id for task, _ in action.tasks]
        for action in state.dispatch(0)
        if isinstance(action, SendWork)
    }


def ends(state, manager, *numbers, slots=4):
    return state.done(manager, slots, [(Result(number, ResultKind.VALUE, b"v"), ()) for number in numbers], 0)


def two(number):
    return number, Needs(cores=2)


def test_tasks_with_needs_share_a_node_with_those_that_say_nothing():
    state = interchange(a=info(4))
    submit(state, two(0), 1, 2, 3)
    assert given(state) == {A: [0, 1, 2]}
    ends(state, A, 1)
    assert given(state) == {A: [3]}


def test_a_node_is_never_given_more_than_it_has():
    state = interchange(a=info(4))
    submit(state, two(0), two(1), two(2))
    assert given(state) == {A: [0, 1]}
    assert given(state) == {}
    ends(state, A, 0)
    assert given(state) == {A: [2]}


def test_a_node_with_such_a_task_is_given_nothing_in_advance():
    state = interchange(a=info(4))
    submit(state, two(0), *range(1, 100))
    assert given(state) == {A: [0, 1, 2]}
    state.done(A, 400, [], 0)
    assert given(state) == {}
    ends(state, A, 0, slots=400)
    assert len(given(state)[A]) == 97


def test_lower_priority_goes_first_then_the_order_of_submission_and_last_who_says_nothing():
    state = interchange()
    first, later = Needs(priority=-1), Needs(priority=5)
    submit(state, 0, (1, later), (2, first), 3, (4, first), (5, later))
    state.registered(A, info(1), 0)
    order = []
    for _ in range(6):
        state.done(A, 1, [(Result(number, ResultKind.VALUE, b"v"), ()) for number in order[-1:]], 0)
        order += given(state)[A]
    assert order == [2, 4, 1, 5, 0, 3]


def test_without_a_priority_tasks_go_in_the_order_in_which_they_were_submitted():
    state = interchange(a=info(1))
    submit(state, 0, (1, Needs(cores=1)), 2, (3, Needs(cores=1)))
    order = []
    for _ in range(4):
        order += given(state)[A]
        ends(state, A, order[-1], slots=1)
    assert order == [0, 1, 2, 3]


def test_a_stream_of_small_tasks_does_not_keep_a_big_one_waiting():
    state = interchange(a=info(4), b=info(4))
    submit(state, *range(8))
    assert {manager: len(ids) for manager, ids in given(state).items()} == {A: 4, B: 4}
    submit(state, (8, Needs(cores=4)), *range(9, 100))
    assert given(state) == {}
    running = sorted(state.held_by(A))
    for number in running:  # one by one, the tasks of a node end
        ends(state, A, number)
        assert given(state) == ({A: [8]} if number == running[-1] else {})


def test_small_tasks_go_on_beside_the_node_that_is_kept_for_a_big_one():
    state = interchange(a=info(4), b=info(4))
    submit(state, *range(8))
    given(state)
    submit(state, (8, Needs(cores=4)), 9, 10)
    other = sorted(state.held_by(B))
    ends(state, A, 0)
    ends(state, B, other[0])
    assert given(state) == {B: [9]}


def test_a_big_task_does_not_keep_small_ones_from_what_it_cannot_use():
    state = interchange(a=info(2), b=info(8))
    submit(state, (0, Needs(cores=8)), (1, Needs(cores=8)), 2)
    assert given(state) == {B: [0], A: [2]}


def test_a_cancelled_big_task_gives_its_node_back():
    state = interchange(a=info(4))
    submit(state, 0, (1, Needs(cores=4)), 2)
    assert given(state) == {A: [0]}
    (answer,) = state.cancelled([1], 0)
    assert [(result.id, result.kind) for result, _ in answer.results] == [(1, ResultKind.CANCELLED)]
    assert given(state) == {A: [2]}


def test_a_task_that_fits_no_node_fails_at_once_and_is_told_what_there_is():
    state = interchange(a=info(4, memory=2**30))
    (answer,) = submit(state, (0, Needs(cores=64)), (1, Needs(cores=4)))
    ((result, _),) = answer.results
    assert (result.id, result.kind) == (0, ResultKind.DOES_NOT_FIT)
    assert result.body.decode() == "cores=64\nhost: cores=4, memory=1 GiB, gpus=0"
    assert given(state) == {A: [1]}


def test_before_a_node_is_known_nothing_is_too_big():
    state = interchange()
    assert submit(state, (0, Needs(accelerators=1))) == []
    (_, answer) = state.registered(A, info(4), 0)
    assert [result.kind for result, _ in answer.results] == [ResultKind.DOES_NOT_FIT]
    assert state.queued == 0


def test_a_node_that_is_gone_may_come_again():
    state = interchange(a=info(8))
    state.left(A, "drained")
    assert submit(state, (0, Needs(cores=8))) == []
    state.registered(A, info(8), 0)
    state.done(A, 8, [], 0)
    assert given(state) == {A: [0]}


def test_a_task_that_waits_for_its_node_is_told_as_such():
    state = interchange(a=info(4))
    submit(state, two(0), two(1), two(2), two(3))
    given(state)
    assert [state.standing(1, number, 0).ahead for number in (2, 3)] == [0, 1]
    assert state.queued == 2


class WhateverIsAskedFor(RuleBasedStateMachine):
    """However tasks and nodes come and go: no node is over-committed, none is lost, and all get their turn."""

    def __init__(self):
        super().__init__()
        self.state = interchange()
        self.sizes, self.held, self.needs = {}, {}, {}
        self.waiting, self.ended = set(), set()

    def follow(self, actions):
        for action in actions:
            match action:
                case SendWork(manager, _, parcels):
                    for task, _ in parcels:
                        self.waiting.remove(task.id)
                        self.held[manager].add(task.id)
                case SendResults(parcels):
                    for result, _ in parcels:
                        next(ids for ids in [self.waiting, *self.held.values()] if result.id in ids).remove(result.id)
                        self.ended.add(result.id)
                case TellDown(manager, _, lost):
                    assert self.held.pop(manager) == set(lost)
                    self.ended |= set(lost)
                case SendCancel():
                    pass

    def dispatch(self):
        self.follow(self.state.dispatch(0))

    @rule(
        many=st.lists(
            st.none()
            | st.builds(
                Needs,
                st.sampled_from([-1.0, 0.5, 1.0, 2.0, 4.0]),
                st.just(-1),
                st.sampled_from([-1, 0, 2]),
                st.sampled_from([float("inf"), 0.0, -1.0]),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def tasks_come(self, many):
        numbers = range(len(self.needs), len(self.needs) + len(many))
        self.needs.update(zip(numbers, many, strict=True))
        self.waiting |= set(numbers)
        self.follow(submit(self.state, *zip(numbers, many, strict=True)))
        self.dispatch()

    @rule(manager=st.sampled_from([A, B]), slots=st.sampled_from([1, 4]), accelerators=st.booleans())
    def a_manager_comes(self, manager, slots, accelerators):
        self.sizes[manager] = said = info(slots, accelerators=slots if accelerators else 0)
        actions = self.state.registered(manager, said, 0)
        self.follow([action for action in actions if isinstance(action, TellDown)])
        self.held[manager] = set()
        self.follow(actions[1:] if isinstance(actions[0], TellDown) else actions)
        self.follow(self.state.done(manager, slots, [], 0))
        self.dispatch()

    @rule(data=st.data(), ahead=st.sampled_from([0, 0, 3]))
    @precondition(lambda self: any(self.held.values()))
    def tasks_end(self, data, ahead):
        manager = data.draw(st.sampled_from(sorted(name for name, ids in self.held.items() if ids)))
        ids = data.draw(st.sets(st.sampled_from(sorted(self.held[manager])), min_size=1))
        self.follow(ends(self.state, manager, *ids, slots=self.sizes[manager].slots + ahead))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.needs)
    def some_are_cancelled(self, data):
        self.follow(self.state.cancelled(data.draw(st.sets(st.sampled_from(sorted(self.needs)), max_size=4)), 0))
        self.dispatch()

    @rule(manager=st.sampled_from([A, B]))
    def a_manager_goes(self, manager):
        self.follow(self.state.left(manager, "gone"))
        self.dispatch()

    @invariant()
    def no_node_has_more_than_it_can_hold(self):
        for manager, ids in self.held.items():
            said = self.sizes[manager]
            wanted = [self.needs[number] for number in ids]
            if not any(wanted):
                continue  # held in advance, perhaps
            share = 1 if said.node.accelerators else 0
            assert len(ids) <= said.slots
            assert sum(1 if need is None or need.cores < 0 else need.cores for need in wanted) <= said.slots
            assert (
                sum(share if need is None or need.accelerators < 0 else need.accelerators for need in wanted)
                <= said.node.accelerators
            )

    @invariant()
    def every_task_is_in_one_place(self):
        held = {manager: set(self.state.held_by(manager)) for manager in self.held}
        assert held == self.held
        assert self.state.queued == len(self.waiting)
        everywhere = [*self.waiting, *self.ended, *(number for ids in held.values() for number in ids)]
        assert sorted(everywhere) == sorted(self.needs)

    def teardown(self):
        """With nothing new, and nodes that were there before, all that waits is run at last."""
        for manager in (A, B):
            if manager in self.sizes and manager not in self.held:
                self.held[manager] = set()
                self.follow(self.state.registered(manager, self.sizes[manager], 0))
                self.follow(self.state.done(manager, self.sizes[manager].slots, [], 0))
        self.dispatch()
        for _ in range(2 * len(self.needs) + 2):
            for manager, ids in self.held.items():
                if ids:
                    self.follow(ends(self.state, manager, min(ids), slots=self.sizes[manager].slots))
                    self.dispatch()
        could = [
            number
            for number in self.waiting
            if any(self.state._managers[m].place.could_hold(self.needs[number] or Needs()) for m in self.held)
        ]
        assert not could, "tasks that fit a node were not run"


TestWhateverIsAskedFor = WhateverIsAskedFor.TestCase
TestWhateverIsAskedFor.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
