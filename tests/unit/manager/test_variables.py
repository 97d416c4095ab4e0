from cnflow.ids import ManagerId, WorkerRank
from cnflow.manager.node.environment import cores_given, memory_given, worker_variables


def test_a_task_finds_its_place_under_both_names():
    found = worker_variables(WorkerRank(1), 4, ManagerId(b"\x0a\x0b"), "3")
    assert found == {
        "CNFLOW_WORKER_RANK": "1",
        "CNFLOW_WORKER_COUNT": "4",
        "CNFLOW_WORKER_POOL_ID": "0a0b",
        "CNFLOW_WORKER_BLOCK_ID": "3",
        "PARSL_WORKER_RANK": "1",
        "PARSL_WORKER_COUNT": "4",
        "PARSL_WORKER_POOL_ID": "0a0b",
        "PARSL_WORKER_BLOCK_ID": "3",
    }


def test_what_the_provider_says_of_the_node():
    assert cores_given({}) is memory_given({}) is None
    assert cores_given({"CNFLOW_CORES": "1.5", "PARSL_CORES": "8"}) == 1.5
    assert cores_given({"PARSL_CORES": "8"}) == 8
    assert memory_given({"CNFLOW_MEMORY": "1000"}) == 1000
    assert memory_given({"PARSL_MEMORY_GB": "2"}) == 2 * 2**30
