from cnflow.blocks import Demand
from cnflow.ids import BlockId
from cnflow.tasks.node_shape import NodeShape
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node, PoolReport, QueuedNeeds
from cnflow.worker_pool.demand import PoolDemand

SHAPE = NodeShape.of(4, Node(cores=4.0, memory=2**60))


def report(*needs, ended=0):
    submitted = ended + sum(unfinished for unfinished, _ in needs)
    return PoolReport([], [QueuedNeeds(unfinished, 0, each) for unfinished, each in needs], submitted, ended, 0)


def test_pool_without_a_report_demands_nothing():
    assert PoolDemand(SHAPE).current() == Demand(0, 0, 0, 0)


def test_plain_tasks_of_all_clients_take_a_slot_each():
    demand = PoolDemand(SHAPE)
    demand.on_report(report((7, Needs()), ended=3))
    assert demand.current() == Demand(7, 10, 3, 7)


def test_task_with_two_cores_takes_two_slots_of_a_node_with_a_core_for_each():
    demand = PoolDemand(SHAPE)
    demand.on_report(report((1, Needs()), (2, Needs(cores=2.0))))
    assert demand.current().slots == 5


def test_connected_manager_corrects_the_shape_of_a_node():
    demand = PoolDemand(SHAPE)
    demand.on_report(report((2, Needs(cores=2.0))))
    assert demand.current().slots == 4
    node = Node(cores=8.0, memory=2**60, worker_cores=2.0)
    demand.on_node(ManagerInfo(1, "0", "3.12", "h", BlockId("0"), "", 4, 1, node=node))
    assert demand.current().slots == 2


def test_activity_changes_with_a_submission_and_with_an_end_that_makes_room_for_another():
    demand = PoolDemand(SHAPE)
    seen = []
    for tasks, ended in ((1, 0), (1, 1), (2, 1)):
        demand.on_report(report((tasks, Needs()), ended=ended))
        seen.append(demand.current().activity)
    assert seen == sorted(set(seen))
