"""Description of a manager in its registration."""

import sys

import pytest

from cnflow.manager.registration import manager_info, node_rank, worker_minor
from cnflow.model.manager_settings import ManagerSettings


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"SLURM_PROCID": "3"}, 3),
        ({"OMPI_COMM_WORLD_RANK": "2"}, 2),
        ({"PMIX_RANK": "1", "PMI_RANK": "4"}, 1),
        ({"JSM_NAMESPACE_RANK": "5"}, 5),
        ({"FLUX_TASK_RANK": "6"}, 6),
        ({"CNFLOW_NODE_RANK": "7", "SLURM_PROCID": "0"}, 7),
        ({"CNFLOW_NODE_RANK": "", "SLURM_PROCID": "1"}, 1),
        ({"SLURM_PROCID": "none", "PMI_RANK": "1"}, 1),
        ({"SLURM_PROCID": "-1"}, 0),
    ],
)
def test_node_rank_is_that_of_the_first_launcher_that_sets_one(environment, rank):
    assert node_rank(environment) == rank


def test_manager_describes_its_place_in_the_block_and_the_life_of_that(monkeypatch):
    monkeypatch.setenv("CNFLOW_NODE_RANK", "1")
    settings = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block="5", nodes=4)
    info = manager_info(settings, 2, life=3600.0, left=1200.0)
    assert (info.block, info.node_rank, info.nodes, info.node.life, info.node.left) == ("5", 1, 4, 3600.0, 1200.0)


def test_manager_registers_the_python_of_its_workers():
    settings = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block="5")
    apart = settings.with_worker_python("/usr/bin/python3", "3.8.18")
    assert worker_minor(settings) == f"{sys.version_info[0]}.{sys.version_info[1]}"
    info = manager_info(apart, 2, life=3600.0, left=1200.0)
    assert (info.python, info.python_version) == ("3.8", "3.8.18")
