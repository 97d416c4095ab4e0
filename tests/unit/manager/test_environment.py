from cnflow.ids import ManagerId, WorkerRank
from cnflow.manager.node.environment import cores_from, memory_from, worker_variables


def test_a_worker_has_the_variables_of_cnflow_and_of_parsl():
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


def test_cores_and_memory_are_those_that_the_provider_grants():
    assert cores_from({}) is memory_from({}) is None
    assert cores_from({"CNFLOW_CORES": "1.5", "PARSL_CORES": "8"}) == 1.5
    assert cores_from({"PARSL_CORES": "8"}) == 8
    assert memory_from({"CNFLOW_MEMORY": "1000"}) == 1000
    assert memory_from({"PARSL_MEMORY_GB": "2"}) == 2 * 2**30
