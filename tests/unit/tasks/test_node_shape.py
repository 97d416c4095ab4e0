"""Shapes of nodes, and the demand of many tasks in slots."""

import time
from collections import Counter

import pytest

from cnflow.model.resources import Resources
from cnflow.tasks.node_shape import NodeShape, slots_needed
from cnflow.wire.manager_messages import Needs, Node

GIB = 2**30


def shape(slots=4, **node):
    return NodeShape.of(slots, Node(**{"cores": 4.0, **node}))


def test_plain_tasks_need_a_slot_each():
    assert slots_needed({None: 7}, shape()) == 7


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        (Resources(cores=4), 4),
        (Resources(cores=2), 2),
        (Resources(cores=3), 4),
        (Resources(cores=0.5), 1),
        (Resources(memory=8 * GIB), 4),
        (Resources(memory=2 * GIB), 1),
        (Resources(gpus=2), 2),
        (Resources(gpus=0), 1),
        (Resources(priority=1.0), 1),
    ],
)
def test_task_counts_for_the_part_of_a_node_that_it_takes(resources, slots):
    assert slots_needed({resources: 1}, shape(memory=8 * GIB, worker_memory=2 * GIB, accelerators=4)) == slots


def test_parts_of_nodes_are_added_before_they_are_rounded():
    assert slots_needed({Resources(cores=0.5): 8, None: 1}, shape(slots=8)) == 9
    assert slots_needed({Resources(memory=3 * GIB): 2}, shape(memory=9 * GIB)) == 3


def test_task_that_fits_no_known_node_counts_for_a_whole_one():
    assert slots_needed({Resources(cores=64): 2}, shape()) == 8


def test_node_smaller_than_the_share_of_a_worker_runs_one_task():
    small = shape(slots=1, cores=2.0, worker_cores=4.0)
    assert small.tasks_per_node(Needs()) == small.tasks_per_node(Needs(cores=4)) == 1
    assert small.tasks_per_node(Needs(cores=5)) == 0


def test_demand_of_many_tasks_costs_as_much_as_their_kinds():
    kinds = Counter({Resources(cores=1 + n % 4, memory=n): 10**6 for n in range(100)})
    begin = time.process_time()
    slots_needed(kinds, shape(memory=8 * GIB))
    assert time.process_time() - begin < 0.05
