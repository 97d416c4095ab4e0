"""Resources of nodes, and the allocations of tasks."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.scheduler.node import NodeCapacity, describe_needs
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node

GIB = 2**30


def make_node(slots=4, **node):
    return NodeCapacity(ManagerInfo(1, "0.1.0", "3.11", "host", "0", "", slots, 1, "", Node(**{"cores": 4.0, **node})))


def test_unset_needs_take_the_share_of_one_worker():
    node = make_node(slots=2, cores=8.0, worker_cores=4.0, memory=16 * GIB, worker_memory=8 * GIB, accelerators=2)
    node.allocate(1, Needs())
    assert node.free_slots(0) == 1
    assert node.fits(Needs(cores=4, memory=8 * GIB, accelerators=1), 0)
    assert not node.fits(Needs(cores=4.1), 0)
    assert not node.fits(Needs(memory=8 * GIB + 1), 0)
    assert not node.fits(Needs(accelerators=2), 0)


def test_task_of_two_cores_takes_the_slots_of_two_plain_tasks():
    node = make_node()
    node.allocate(1, Needs(cores=2))
    assert node.free_slots(0) == 2
    node.release(1)
    node.release(1)
    assert node.free_slots(0) == 4


def test_fractions_of_cores_add_up_exactly():
    node = make_node(slots=10, cores=1.0, worker_cores=0.1)
    for number in range(10):
        node.allocate(number, Needs(cores=0.1))
    assert not node.fits(Needs(cores=0.1), 0)
    for number in range(10):
        node.release(number)
    assert node.fits(Needs(cores=1), 0)


def test_memory_is_counted_although_the_share_of_a_worker_is_none():
    node = make_node(memory=8 * GIB)
    node.allocate(1, Needs(memory=6 * GIB))
    assert node.free_slots(0) == 3
    assert not node.fits(Needs(memory=3 * GIB), 0)


def test_node_smaller_than_one_share_fits_one_task():
    assert make_node(slots=1, cores=2.0, worker_cores=4.0).could_fit(Needs())
    assert make_node(slots=1, cores=2.0, worker_cores=4.0).could_fit(Needs(cores=4))


def test_needs_and_nodes_are_described_in_words():
    assert describe_needs(Needs(cores=2, memory=4 * 10**9, accelerators=0)) == "cores=2, memory=4 GB, gpus=0"
    assert str(make_node(memory=8 * GIB, accelerators=4)) == "host: cores=4, memory=8 GiB, gpus=4"


@given(st.lists(st.tuples(st.floats(0.05, 5), st.integers(-1, 9), st.integers(-1, 3)), max_size=12), st.integers(0, 4))
def test_allocations_never_exceed_the_node(requests, plain_tasks):
    node = make_node(slots=4, cores=4.0, memory=8, worker_memory=2, accelerators=4)
    taken = [plain_tasks, float(plain_tasks), 2 * plain_tasks, plain_tasks]
    for number, (cores, memory, accelerators) in enumerate(requests):
        needs = Needs(cores, memory, accelerators)
        if node.fits(needs, plain_tasks):
            node.allocate(number, needs)
            demand = (1, cores, 2 if memory < 0 else memory, 1 if accelerators < 0 else accelerators)
            taken = [a + b for a, b in zip(taken, demand, strict=True)]
    assert taken[0] <= 4
    assert taken[1] <= 4 + 1e-5
    assert taken[2] <= 8
    assert taken[3] <= 4
    assert node.free_slots(plain_tasks) <= 4 - taken[0]
