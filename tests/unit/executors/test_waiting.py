from cnflow.executors.high_throughput.diagnosis import why_waiting
from cnflow.model.status import BlockReport
from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, StatusReport, TaskReport

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


def test_a_task_that_runs_is_told_with_its_node():
    assert why(holder=A, run=TaskReport(0, 1, 125.0)) == [
        "has run for 2 min 5 s, in worker 1 of manager aa on node1, block 0."
    ]


def test_a_task_that_a_manager_holds_in_advance_does_not_run_yet():
    assert why(holder=A, managers=[now(tasks=40)], run=TaskReport(0, -1, 0.0)) == [
        "waits for a worker of manager aa on node1, block 0, which has 40 tasks for 2 workers."
    ]


def test_a_manager_that_does_not_answer_is_told_with_its_silence():
    [line] = why(holder=A)
    assert line.startswith("is with manager aa on node1, block 0, which has 2 tasks for 2 workers.")
    assert line.endswith(" It was heard 1 s ago, and does not answer.")


def test_a_manager_that_left_meanwhile_is_told_by_its_id():
    assert why(holder=A, known={}) == ["is with manager aa."]


def test_a_task_without_a_slot_is_told_who_has_them():
    assert why(ahead=3, managers=[now(), now(B, 1)]) == [
        "waits for a worker of executor 'htex'; 3 tasks before it.",
        "Connected: 4 workers of 2 managers, with 3 tasks.",
    ]


def test_managers_that_take_nothing_are_told():
    managers = [now(active=False, draining=True), now(B, active=False)]
    assert why(ahead=0, managers=managers)[1:] == [
        "Draining, and given no more: 1 manager.",
        "Put on hold: 1 manager.",
    ]


def test_a_pending_block_is_told_with_its_providers_reason():
    assert why(ahead=0, managers=[], blocks=[block()]) == [
        "waits for a worker of executor 'htex'; it is the next.",
        "No manager is connected.",
        "Block 1 (4711) is pending, wanted for 1 min 30 s: Priority",
    ]


def test_many_blocks_are_counted():
    told = why(ahead=0, managers=[], blocks=[block(native="", state="requested", message="")] * 7)
    assert told[-2:] == ["Block 1 is requested, wanted for 1 min 30 s", "To come: 2 more blocks."]


def test_no_block_at_all_is_told():
    assert why(ahead=0, managers=[], blocks=[])[-1] == "There is no block."


def test_between_driver_and_interchange_a_task_is_on_its_way():
    assert why()[0] == "waits for a worker of executor 'htex'; it is on its way to or from its interchange."


def test_before_the_interchange_answers_the_executor_is_not_ready():
    assert why_waiting("htex", None, None, {}, [block()]) == [
        "waits for executor 'htex', which prepares its image, or whose interchange starts.",
        "Block 1 (4711) is pending, wanted for 1 min 30 s: Priority",
    ]
