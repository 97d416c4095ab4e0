from cnflow.executors.high_throughput.diagnosis import why_waiting
from cnflow.ids import ManagerId
from cnflow.model.status import BlockReport
from cnflow.wire.manager_messages import DataStatus, ManagerInfo, ManagerStatus, StatusReport, TaskReport

A, B = b"\xaa", b"\xbb"
INFO = ManagerInfo(1, "0.1.0", "3.11", "node1", "0", "", 2, 1)
BOTH = {A: INFO, B: INFO}


def now(manager=A, tasks=2, *, active=True, draining=False):
    return ManagerStatus(manager, tasks, 0.0, 1.0, active, draining)


def block(state="pending", native="4711", nodes=0, message="Priority"):
    return BlockReport("1", native, state, nodes, 0, None, 90.0, message)


BUSY = now()
THERE = block("running", nodes=1)


def why(holder=b"", ahead=-1, managers=(BUSY,), known=BOTH, blocks=(THERE,), run=None):
    return why_waiting("htex", StatusReport(0, list(managers), holder, ahead), run, known, blocks)


def test_running_task_is_named_with_its_node():
    assert why(holder=A, run=TaskReport(0, 1, 125.0)) == [
        "has run for 2 min 5 s, in worker 1 of manager aa on node1, block 0."
    ]


def test_prefetched_task_waits_for_a_worker_of_its_manager():
    assert why(holder=A, managers=[now(tasks=40)], run=TaskReport(0, -1, 0.0)) == [
        "waits for a worker of manager aa on node1, block 0, which has 40 tasks for 2 workers."
    ]


def test_manager_that_does_not_answer_is_named_with_its_silence():
    [line] = why(holder=A)
    assert line.startswith("is with manager aa on node1, block 0, which has 2 tasks for 2 workers.")
    assert line.endswith(" Its last message came 1 s ago, and it does not answer.")


def test_manager_that_has_left_is_named_by_its_id():
    assert why(holder=A, known={}) == ["is with manager aa."]


def test_waiting_task_gets_the_load_of_the_managers():
    assert why(ahead=3, managers=[now(), now(B, 1)]) == [
        "waits for a worker of executor 'htex'; 3 tasks before it.",
        "Connected: 4 workers of 2 managers, with 3 tasks.",
    ]


def test_draining_and_held_managers_are_counted():
    managers = [now(active=False, draining=True), now(B, active=False)]
    assert why(ahead=0, managers=managers)[1:] == [
        "Draining, sent no more tasks: 1 manager.",
        "On hold: 1 manager.",
    ]


def test_pending_block_comes_with_the_reason_of_its_provider():
    assert why(ahead=0, managers=[], blocks=[block()]) == [
        "waits for a worker of executor 'htex'; it is the next.",
        "No manager is connected.",
        "Block 1 (4711) is pending, requested 1 min 30 s ago: Priority",
    ]


def test_many_blocks_are_counted():
    told = why(ahead=0, managers=[], blocks=[block(native="", state="requested", message="")] * 7)
    assert told[-2:] == ["Block 1 is requested, requested 1 min 30 s ago", "To come: 2 more blocks."]


def test_absence_of_blocks_is_said():
    assert why(ahead=0, managers=[], blocks=[])[-1] == "There is no block."


def test_task_between_driver_and_interchange_is_on_its_way():
    assert why()[0] == "waits for a worker of executor 'htex'; it is on its way to or from its interchange."


def test_executor_is_not_ready_before_its_interchange_answers():
    assert why_waiting("htex", None, None, {}, [block()]) == [
        "waits for executor 'htex', which prepares its image, or whose interchange starts.",
        "Block 1 (4711) is pending, requested 1 min 30 s ago: Priority",
    ]


def test_task_of_a_pool_gets_the_news_of_its_server_in_place_of_blocks():
    report = StatusReport(0, [], b"", 0)
    assert why_waiting("htex", report, None, {}, [], "Its pool has no worker: no such image")[1:] == [
        "No manager is connected.",
        "Its pool has no worker: no such image",
    ]


def test_task_that_waits_for_the_manager_of_its_data_is_explained():
    report = StatusReport(0, [], b"", 0, DataStatus(ManagerId(b"m1"), 10**9, 6.0))
    lines = why_waiting("htex", report, None, {}, [block()])
    assert lines[1] == (
        "1 GB of its data is on manager 6d31: it waits for a worker there, 6 s at most, before the data is moved."
    )
