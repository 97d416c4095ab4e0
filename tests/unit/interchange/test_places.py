"""What nodes have, and what tasks take of it."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.scheduler.node import NodeCapacity, told
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node

GIB = 2**30


def place(slots=4, **node):
    return NodeCapacity(ManagerInfo(1, "0.1.0", "3.11", "host", "0", "", slots, 1, "", Node(**{"cores": 4.0, **node})))


def test_what_is_not_said_is_what_each_worker_counts_for():
    node = place(slots=2, cores=8.0, worker_cores=4.0, memory=16 * GIB, worker_memory=8 * GIB, accelerators=2)
    node.take(1, Needs())
    assert node.room(0) == 1
    assert node.can_hold(Needs(cores=4, memory=8 * GIB, accelerators=1), 0)
    assert not node.can_hold(Needs(cores=4.1), 0)
    assert not node.can_hold(Needs(memory=8 * GIB + 1), 0)
    assert not node.can_hold(Needs(accelerators=2), 0)


def test_two_cores_are_the_room_of_two_plain_tasks():
    node = place()
    node.take(1, Needs(cores=2))
    assert node.room(0) == 2
    node.give_back(1)
    node.give_back(1)
    assert node.room(0) == 4


def test_parts_of_cores_leave_nothing_behind():
    node = place(slots=10, cores=1.0, worker_cores=0.1)
    for number in range(10):
        node.take(number, Needs(cores=0.1))
    assert not node.can_hold(Needs(cores=0.1), 0)
    for number in range(10):
        node.give_back(number)
    assert node.can_hold(Needs(cores=1), 0)


def test_memory_is_booked_also_where_workers_count_for_none():
    node = place(memory=8 * GIB)
    node.take(1, Needs(memory=6 * GIB))
    assert node.room(0) == 3
    assert not node.can_hold(Needs(memory=3 * GIB), 0)


def test_a_small_node_has_what_its_one_worker_counts_for():
    assert place(slots=1, cores=2.0, worker_cores=4.0).could_hold(Needs())
    assert place(slots=1, cores=2.0, worker_cores=4.0).could_hold(Needs(cores=4))


def test_what_is_asked_for_and_what_is_there_can_be_read():
    assert told(Needs(cores=2, memory=4 * 10**9, accelerators=0)) == "cores=2, memory=4 GB, gpus=0"
    assert str(place(memory=8 * GIB, accelerators=4)) == "host: cores=4, memory=8 GiB, gpus=4"


@given(st.lists(st.tuples(st.floats(0.05, 5), st.integers(-1, 9), st.integers(-1, 3)), max_size=12), st.integers(0, 4))
def test_what_fits_is_never_more_than_there_is(asked, others):
    node = place(slots=4, cores=4.0, memory=8, worker_memory=2, accelerators=4)
    taken = [others, float(others), 2 * others, others]
    for number, (cores, memory, accelerators) in enumerate(asked):
        needs = Needs(cores, memory, accelerators)
        if node.can_hold(needs, others):
            node.take(number, needs)
            demand = (1, cores, 2 if memory < 0 else memory, 1 if accelerators < 0 else accelerators)
            taken = [a + b for a, b in zip(taken, demand, strict=True)]
    assert taken[0] <= 4
    assert taken[1] <= 4 + 1e-5
    assert taken[2] <= 8
    assert taken[3] <= 4
    assert node.room(others) <= 4 - taken[0]
