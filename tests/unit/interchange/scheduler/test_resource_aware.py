"""Scheduling of tasks with needs, through the state of the interchange."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.interchange.actions import ReportManagerDown, SendCancel, SendResults, SendWork
from cnflow.interchange.state import Interchange
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")
A, B = b"a", b"b"


def info(slots=4, cores=None, accelerators=0, memory=0):
    node = Node(float(slots if cores is None else cores), memory, accelerators)
    return ManagerInfo(1, "0.1.0", "3.11", "host", "0", "", slots, 1, "", node)


def held_by(state, manager):
    return set(state._managers[manager].held)


def queue_length(state):
    return len(state._queue) + len(state._scheduler)


def interchange(**managers):
    state = Interchange(protocol=1, heartbeat_period=10, heartbeat_threshold=30, blocks=["0"])
    for name, info in managers.items():
        state.on_registered(name.encode(), info, 0)
        state.on_results(name.encode(), info.slots, [], 0)
    return state


def submit(state, *given):
    """Submit tasks, each given as ``(number, needs)``, or as a number if it is plain."""
    pairs = [each if isinstance(each, tuple) else (each, None) for each in given]
    parcels = [(Task(number, FUNCTION.id, b"args", needs=needs), ()) for number, needs in pairs]
    return state.on_submitted([FUNCTION], parcels, may_have_needs=True)


def dispatch(state):
    return {
        action.manager: [task.id for task, _ in action.tasks]
        for action in state.dispatch(0)
        if isinstance(action, SendWork)
    }


def finish(state, manager, *numbers, slots=4):
    return state.on_results(manager, slots, [(Result(number, ResultKind.VALUE, b"v"), ()) for number in numbers], 0)


def two(number):
    return number, Needs(cores=2)


def test_tasks_with_needs_share_a_node_with_plain_tasks():
    state = interchange(a=info(4))
    submit(state, two(0), 1, 2, 3)
    assert dispatch(state) == {A: [0, 1, 2]}
    finish(state, A, 1)
    assert dispatch(state) == {A: [3]}


def test_tasks_on_a_node_never_exceed_its_resources():
    state = interchange(a=info(4))
    submit(state, two(0), two(1), two(2))
    assert dispatch(state) == {A: [0, 1]}
    assert dispatch(state) == {}
    finish(state, A, 0)
    assert dispatch(state) == {A: [2]}


def test_node_with_needs_prefetches_no_tasks():
    state = interchange(a=info(4))
    submit(state, two(0), *range(1, 100))
    assert dispatch(state) == {A: [0, 1, 2]}
    state.on_results(A, 400, [], 0)
    assert dispatch(state) == {}
    finish(state, A, 0, slots=400)
    assert len(dispatch(state)[A]) == 97


def test_tasks_are_ordered_by_priority_then_submission_and_plain_tasks_are_last():
    state = interchange()
    first, later = Needs(priority=-1), Needs(priority=5)
    submit(state, 0, (1, later), (2, first), 3, (4, first), (5, later))
    state.on_registered(A, info(1), 0)
    order = []
    for _ in range(6):
        state.on_results(A, 1, [(Result(number, ResultKind.VALUE, b"v"), ()) for number in order[-1:]], 0)
        order += dispatch(state)[A]
    assert order == [2, 4, 1, 5, 0, 3]


def test_tasks_without_priority_are_ordered_by_submission():
    state = interchange(a=info(1))
    submit(state, 0, (1, Needs(cores=1)), 2, (3, Needs(cores=1)))
    order = []
    for _ in range(4):
        order += dispatch(state)[A]
        finish(state, A, order[-1], slots=1)
    assert order == [0, 1, 2, 3]


def test_stream_of_small_tasks_does_not_starve_a_big_task():
    state = interchange(a=info(4), b=info(4))
    submit(state, *range(8))
    assert {manager: len(ids) for manager, ids in dispatch(state).items()} == {A: 4, B: 4}
    submit(state, (8, Needs(cores=4)), *range(9, 100))
    assert dispatch(state) == {}
    running = sorted(held_by(state, A))
    for number in running:  # one by one, the tasks of a node end
        finish(state, A, number)
        assert dispatch(state) == ({A: [8]} if number == running[-1] else {})


def test_small_tasks_run_beside_the_node_reserved_for_a_big_task():
    state = interchange(a=info(4), b=info(4))
    submit(state, *range(8))
    dispatch(state)
    submit(state, (8, Needs(cores=4)), 9, 10)
    other = sorted(held_by(state, B))
    finish(state, A, 0)
    finish(state, B, other[0])
    assert dispatch(state) == {B: [9]}


def test_task_that_waits_for_a_gpu_holds_back_no_task_that_needs_none():
    state = interchange(a=info(4, accelerators=1))
    gpu, cpu = Needs(accelerators=1), Needs(accelerators=0)
    submit(state, (0, gpu))
    assert dispatch(state) == {A: [0]}
    submit(state, (1, gpu), *((number, cpu) for number in range(2, 9)))
    assert dispatch(state) == {A: [2, 3]}, "a worker and a core are left for the one that waits"
    finish(state, A, 2)
    assert dispatch(state) == {A: [4]}
    finish(state, A, 0)
    assert dispatch(state) == {A: [1, 5]}


def test_task_that_waits_for_memory_holds_back_no_plain_task_that_uses_none():
    state = interchange(a=info(4, memory=100))
    submit(state, (0, Needs(cores=1, memory=80)))
    assert dispatch(state) == {A: [0]}
    submit(state, (1, Needs(cores=2, memory=50)), *range(2, 9))
    assert dispatch(state) == {A: [2]}, "two cores are left for the one that waits"
    finish(state, A, 2)
    assert dispatch(state) == {A: [3]}
    finish(state, A, 0)
    assert dispatch(state) == {A: [1, 4]}


def test_task_that_waits_for_a_gpu_leaves_no_core_to_others_that_it_needs_itself():
    state = interchange(a=info(4, accelerators=1))
    submit(state, (0, Needs(accelerators=1)))
    assert dispatch(state) == {A: [0]}
    submit(state, (1, Needs(cores=4, accelerators=1)), (2, Needs(accelerators=0)), (3, Needs(cores=0, accelerators=0)))
    assert dispatch(state) == {A: [3]}, "task 3 takes a worker alone"


def test_big_task_does_not_block_nodes_that_it_cannot_use():
    state = interchange(a=info(2), b=info(8))
    submit(state, (0, Needs(cores=8)), (1, Needs(cores=8)), 2)
    assert dispatch(state) == {B: [0], A: [2]}


def test_cancelled_big_task_releases_its_reserved_node():
    state = interchange(a=info(4))
    submit(state, 0, (1, Needs(cores=4)), 2)
    assert dispatch(state) == {A: [0]}
    (answer,) = state.on_cancelled({1: 0}, 0)
    assert [(result.id, result.kind) for result, _ in answer.results] == [(1, ResultKind.CANCELLED)]
    assert dispatch(state) == {A: [2]}


def test_task_that_fits_no_node_fails_at_once_and_lists_the_nodes():
    state = interchange(a=info(4, memory=2**30))
    (answer,) = submit(state, (0, Needs(cores=64)), (1, Needs(cores=4)))
    ((result, _),) = answer.results
    assert (result.id, result.kind) == (0, ResultKind.DOES_NOT_FIT)
    assert result.body.decode() == "cores=64\nhost: cores=4, memory=1 GiB, gpus=0"
    assert dispatch(state) == {A: [1]}


def test_no_task_is_unfit_before_a_node_registers():
    state = interchange()
    assert submit(state, (0, Needs(accelerators=1))) == []
    (_, answer) = state.on_registered(A, info(4), 0)
    assert [result.kind for result, _ in answer.results] == [ResultKind.DOES_NOT_FIT]
    assert queue_length(state) == 0


def test_task_waits_for_a_kind_of_node_that_is_gone():
    state = interchange(a=info(8))
    state.on_manager_left(A, "drained")
    assert submit(state, (0, Needs(cores=8))) == []
    state.on_registered(B, info(8), 0)
    state.on_results(B, 8, [], 0)
    assert dispatch(state) == {B: [0]}


def of_block(block, slots):
    return ManagerInfo(1, "0.1.0", "3.11", "host", block, "", slots, 1, "", info(slots).node)


def test_no_task_is_unfit_while_a_block_is_yet_to_come_whose_nodes_may_be_larger():
    state = Interchange(1, 10, 30, blocks=["0", "1"])
    submit(state, (0, Needs(cores=8)), (1, Needs(cores=16)))
    state.on_registered(A, of_block("0", 4), 0)
    state.on_results(A, 4, [], 0)
    assert state.dispatch(0) == []
    actions = state.on_registered(B, of_block("1", 8), 1)
    assert [(result.id, result.kind) for result, _ in actions[-1].results] == [(1, ResultKind.DOES_NOT_FIT)]
    state.on_results(B, 8, [], 1)
    assert dispatch(state) == {B: [0]}


def test_task_is_unfit_when_the_block_that_might_have_been_larger_is_gone():
    state = Interchange(1, 10, 30, blocks=["0", "1"])
    submit(state, (0, Needs(cores=8)))
    state.on_registered(A, of_block("0", 4), 0)
    assert not [action for action in state.on_tick(5) if isinstance(action, SendResults)]
    state.on_block_gone("1", "rejected", 6)
    (answer,) = [action for action in state.on_tick(10) if isinstance(action, SendResults)]
    assert [result.kind for result, _ in answer.results] == [ResultKind.DOES_NOT_FIT]


def test_status_report_has_the_position_of_a_waiting_task():
    state = interchange(a=info(4))
    submit(state, two(0), two(1), two(2), two(3))
    dispatch(state)
    assert [state.status_report(1, number, 0).ahead for number in (2, 3)] == [0, 1]
    assert queue_length(state) == 2


class ResourceSchedulerMachine(RuleBasedStateMachine):
    """Random tasks and nodes: no node is over-committed, no task is lost, and no task starves."""

    def __init__(self):
        super().__init__()
        self.state = interchange()
        self.infos, self.held, self.needs = {}, {}, {}
        self.waiting, self.ended = set(), set()
        self.generation = 0

    def apply(self, actions):
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
                case ReportManagerDown(manager, _, lost):
                    assert self.held.pop(manager) == set(lost)
                    self.ended |= set(lost)
                case SendCancel():
                    pass

    def dispatch(self):
        self.apply(self.state.dispatch(0))

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
    def driver_submits(self, many):
        numbers = range(len(self.needs), len(self.needs) + len(many))
        self.needs.update(zip(numbers, many, strict=True))
        self.waiting |= set(numbers)
        self.apply(submit(self.state, *zip(numbers, many, strict=True)))
        self.dispatch()

    @precondition(lambda self: len(self.held) < 2)
    @rule(slots=st.sampled_from([1, 4]), accelerators=st.booleans())
    def manager_registers(self, slots, accelerators):
        self.register(info(slots, accelerators=slots if accelerators else 0))
        self.dispatch()

    def register(self, manager_info):
        self.generation += 1
        manager = b"m%03d" % self.generation
        self.infos[manager], self.held[manager] = manager_info, set()
        self.apply(self.state.on_registered(manager, manager_info, 0))
        self.apply(self.state.on_results(manager, manager_info.slots, [], 0))

    @rule(data=st.data(), ahead=st.sampled_from([0, 0, 3]))
    @precondition(lambda self: any(self.held.values()))
    def tasks_finish(self, data, ahead):
        manager = data.draw(st.sampled_from(sorted(name for name, ids in self.held.items() if ids)))
        ids = data.draw(st.sets(st.sampled_from(sorted(self.held[manager])), min_size=1))
        self.apply(finish(self.state, manager, *ids, slots=self.infos[manager].slots + ahead))
        self.dispatch()

    @rule(data=st.data())
    @precondition(lambda self: self.needs)
    def driver_cancels(self, data):
        ids = data.draw(st.sets(st.sampled_from(sorted(self.needs)), max_size=4))
        self.apply(self.state.on_cancelled(dict.fromkeys(ids, 0), 0))
        self.dispatch()

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def manager_leaves(self, data):
        self.apply(self.state.on_manager_left(data.draw(st.sampled_from(sorted(self.held))), "gone"))
        self.dispatch()

    @invariant()
    def no_node_is_over_committed(self):
        for manager, ids in self.held.items():
            manager_info = self.infos[manager]
            wanted = [self.needs[number] for number in ids]
            if not any(wanted):
                continue  # perhaps prefetched
            share = 1 if manager_info.node.accelerators else 0
            assert len(ids) <= manager_info.slots
            assert sum(1 if need is None or need.cores < 0 else need.cores for need in wanted) <= manager_info.slots
            assert (
                sum(share if need is None or need.accelerators < 0 else need.accelerators for need in wanted)
                <= manager_info.node.accelerators
            )

    @invariant()
    def every_task_is_in_exactly_one_place(self):
        held = {manager: set(held_by(self.state, manager)) for manager in self.held}
        assert held == self.held
        assert queue_length(self.state) == len(self.waiting)
        everywhere = [*self.waiting, *self.ended, *(number for ids in held.values() for number in ids)]
        assert sorted(everywhere) == sorted(self.needs)

    def teardown(self):
        """Let all tasks that wait run, on nodes of the kinds that registered before."""
        for manager_info in [self.infos[manager] for manager in self.infos if manager not in self.held][-2:]:
            self.register(manager_info)
        self.dispatch()
        for _ in range(2 * len(self.needs) + 2):
            for manager, ids in self.held.items():
                if ids:
                    self.apply(finish(self.state, manager, min(ids), slots=self.infos[manager].slots))
                    self.dispatch()
        runnable = [
            number
            for number in self.waiting
            if any(self.state._managers[m].capacity.could_fit(self.needs[number] or Needs()) for m in self.held)
        ]
        assert not runnable, "tasks that fit a node were not run"


TestResourceSchedulerMachine = ResourceSchedulerMachine.TestCase
TestResourceSchedulerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
