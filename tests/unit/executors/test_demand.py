"""Demand of tasks in slots, counted at submission and at the report."""

import hypothesis.strategies as st
from hypothesis import given

from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.executors.high_throughput.demand import TaskDemand
from cnflow.model.batching import BatchLimits, BatchPart
from cnflow.model.resources import Resources
from cnflow.model.task import NO_OPTIONS, AppFunction, Outcome, RunOptions, TaskToRun
from cnflow.testing import FakeProviderSettings
from cnflow.wire.manager_messages import ManagerInfo, Node

GIB = 2**30


def demand_on(cores, memory=0, slots=4, **settings):
    demand = TaskDemand(HighThroughputExecutor(provider=FakeProviderSettings(), max_workers=slots, **settings))
    node = Node(cores=cores, memory=memory, worker_cores=1.0)
    demand.on_node(ManagerInfo(0, "", "", "", "0", "", slots, 0, node=node))
    return demand


def test_a_plain_task_takes_one_slot():
    assert demand_on(4).of(7, 1, 0)[:4] == (7, 1, 0, 7)


def test_a_task_that_needs_the_whole_node_takes_all_of_its_slots():
    demand = demand_on(4)
    for task in range(3):
        demand.add(task, Resources(cores=4))
    assert demand.of(5, 1, 0).slots == 2 + 3 * 4


def test_priorities_do_not_make_tasks_distinct():
    demand = demand_on(4)
    for task in range(3):
        demand.add(task, Resources(cores=4, priority=task))
    assert len(demand._counts) == 1


def test_reported_tasks_take_nothing():
    demand = demand_on(4)
    demand.add(1, Resources(cores=4))
    demand.add(2, Resources(memory=GIB))
    demand.remove([1, 2, 3])
    assert demand.of(0, 1, 0).slots == 0
    assert not demand._counts


def test_memory_that_no_manager_has_reported_limits_no_task():
    settings = HighThroughputExecutor(provider=LocalProvider(), max_workers=4)
    demand = TaskDemand(settings)
    for task in range(8):
        demand.add(task, Resources(memory=GIB))
    assert demand.of(8, 1, 0).slots == 8


def test_a_node_that_is_known_limits_tasks_by_its_memory():
    demand = demand_on(4, memory=4 * GIB)
    for task in range(4):
        demand.add(task, Resources(memory=2 * GIB))
    assert demand.of(4, 1, 0).slots == 8


RESOURCES = st.builds(Resources, cores=st.sampled_from([None, 1.0, 3.0]), priority=st.sampled_from([None, 1.0]))


@given(st.lists(st.tuples(st.integers(0, 5), RESOURCES)))
def test_counts_are_those_of_the_tasks_that_are_held(steps):
    demand, held = demand_on(4), {}
    for task, resources in steps:
        if task in held:
            del held[task]
            demand.remove([task])
        else:
            held[task] = resources
            demand.add(task, resources)
        again = demand_on(4)
        for each, needed in held.items():
            again.add(each, needed)
        assert demand.of(9, 1, 0) == again.of(9, 1, 0)


def call(number, rows, resources=None):
    options = NO_OPTIONS if resources is None else RunOptions(resources=resources)
    return TaskToRun(number, MODEL, (), {}, options, batch=BatchPart(rows))


MODEL = AppFunction(len)
MODEL.batching = BatchLimits(max_batch=8)


def test_calls_of_a_model_take_a_slot_for_each_batch_beside_other_tasks():
    demand = demand_on(4)
    for number in range(20):
        demand.on_submitted(call(number, 1))
    assert demand.of(25, 1, 0)[:4] == (25, 1, 0, 5 + 3)
    demand.on_reported([Outcome(number, None, seconds=0.1) for number in range(12)])
    assert demand.of(13, 1, 12).slots == 5 + 1
    demand.clear()
    assert demand.of(0, 1, 25).slots == 0


def test_call_with_resources_counts_by_these():
    demand = demand_on(4)
    demand.on_submitted(call(0, 1, Resources(cores=4)))
    assert demand.of(1, 1, 0).slots == 4
    demand.on_reported([Outcome(0, None)])
    assert demand.of(0, 1, 0).slots == 0
