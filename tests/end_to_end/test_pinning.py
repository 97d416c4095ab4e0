"""Workers that keep to cores and accelerators, real ones."""

import os

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import BlockError
from cnflow.executors import HighThroughputExecutor

NAMES = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK", "OMP_NUM_THREADS", "GOMP_CPU_AFFINITY")


@python_app
def seen(names):
    """What this task sees, after a while in which the other workers are given theirs."""
    import os
    import time

    time.sleep(0.2)
    rank = int(os.environ["CNFLOW_WORKER_RANK"])
    return rank, {**{name: os.environ.get(name) for name in names}, "cores": sorted(os.sched_getaffinity(0))}


@pytest.fixture
def seen_by_workers(tmp_path):
    """What each worker sees, by rank."""

    def look(count, **settings):
        with cnflow.load(Config(executors=[HighThroughputExecutor(**settings)], run_dir=str(tmp_path))) as dfk:
            found = {}
            while len(found) < count:
                found.update(future.result(60) for future in [seen(NAMES) for _ in range(2 * count)])
            assert dfk.executors["htex"].status().workers == count
        return found

    return look


def test_there_is_one_worker_for_each_accelerator_and_each_sees_its_own(seen_by_workers):
    found = seen_by_workers(2, available_accelerators=["2", "0,1"], cores_per_worker=0.1)
    for rank, name in enumerate(["2", "0,1"]):
        assert found[rank]["ROCR_VISIBLE_DEVICES"] == found[rank]["ZE_AFFINITY_MASK"] == name
    assert found[1]["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert found[0]["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS")


def test_a_number_of_accelerators_names_them_from_zero(seen_by_workers):
    found = seen_by_workers(1, available_accelerators=1)
    assert found[0]["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs a machine with two cores")
def test_each_worker_keeps_to_its_cores(seen_by_workers):
    cores = sorted(os.sched_getaffinity(0))
    half = len(cores) // 2
    found = seen_by_workers(2, max_workers=2, cores_per_worker=0.5, cpu_affinity="block-reverse")
    assert found[0]["cores"] == cores[half : 2 * half]
    assert found[1]["cores"] == cores[:half]
    assert found[0]["OMP_NUM_THREADS"] == str(half)


def test_one_core_may_be_chosen(seen_by_workers):
    core = max(os.sched_getaffinity(0))
    found = seen_by_workers(1, max_workers=1, cpu_affinity=f"list:{core}")
    assert found[0]["cores"] == [core]
    assert found[0]["GOMP_CPU_AFFINITY"] == str(core)


def test_an_affinity_that_the_node_cannot_give_fails_the_tasks_with_the_reason(seen_by_workers):
    with pytest.raises(BlockError, match="names cores that the manager may not use: 4095"):
        seen_by_workers(1, max_workers=1, cpu_affinity="list:4095")
