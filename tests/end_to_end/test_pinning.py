"""Real workers that are bound to cores and accelerators."""

import os

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import BlockError
from cnflow.executors import HighThroughputExecutor

NAMES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "OMP_NUM_THREADS", "GOMP_CPU_AFFINITY")


@python_app
def environment_and_cores(names):
    """Return variables and cores of the worker, after a pause in which other workers get tasks too."""
    import os
    import time

    time.sleep(0.2)
    rank = int(os.environ["CNFLOW_WORKER_RANK"])
    return rank, {**{name: os.environ.get(name) for name in names}, "cores": sorted(os.sched_getaffinity(0))}


@pytest.fixture
def look_at_workers(tmp_path):
    """Return variables and cores of each worker by rank."""

    def look(count, **settings):
        with cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=str(tmp_path))) as dfk:
            found = {}
            while len(found) < count:
                found.update(future.result(60) for future in [environment_and_cores(NAMES) for _ in range(2 * count)])
            assert dfk.executors["htex"].status().workers == count
        return found

    return look


def test_each_accelerator_gets_one_worker_that_sees_it_alone(look_at_workers):
    found = look_at_workers(2, available_accelerators=["2", "0,1"], cores_per_worker=0.1)
    for rank, name in enumerate(["2", "0,1"]):
        assert found[rank]["ROCR_VISIBLE_DEVICES"] == found[rank]["ZE_AFFINITY_MASK"] == name
    assert found[1]["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert found[0]["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS")


def test_number_of_accelerators_names_them_from_zero(look_at_workers):
    found = look_at_workers(1, available_accelerators=1)
    assert found[0]["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a machine with two cores")
def test_each_worker_is_bound_to_its_cores(look_at_workers):
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    found = look_at_workers(2, max_workers=2, cores_per_worker=0.5, cpu_affinity="block-reverse")
    assert found[0]["cores"] == cores[half : 2 * half]
    assert found[1]["cores"] == cores[:half]
    assert found[0]["OMP_NUM_THREADS"] == str(half)


def test_workers_can_be_bound_to_one_core(look_at_workers):
    core = max(os.sched_getaffinity(0))
    found = look_at_workers(1, max_workers=1, cpu_affinity=f"list:{core}")
    assert found[0]["cores"] == [core]
    assert found[0]["GOMP_CPU_AFFINITY"] == str(core)


def test_affinity_that_the_node_lacks_cores_for_fails_the_tasks_with_the_reason(look_at_workers):
    with pytest.raises(BlockError, match="lists cores that the manager may not use: 4095"):
        look_at_workers(1, max_workers=1, cpu_affinity="list:4095")
