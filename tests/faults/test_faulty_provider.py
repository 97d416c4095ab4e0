"""Tasks on blocks whose provider hangs, forgets, loses answers and answers late."""

import random

import pytest

from cnflow import python_app
from cnflow.config import LocalProvider
from cnflow.providers.local.provider import LocalBackend
from cnflow.testing import Fault, FaultyProvider, RandomFaults

RATES = {
    "submit": {Fault.LATE: 0.3, Fault.LOSE: 0.3, Fault.FORGET: 0.2},
    "find": {Fault.LATE: 0.2, Fault.FAIL: 0.2},
    "status": {Fault.LATE: 0.1, Fault.FAIL: 0.1, Fault.FORGET: 0.1},
    "cancel": {Fault.LATE: 0.2, Fault.LOSE: 0.2, Fault.FAIL: 0.1},
}


@python_app
def block_of_this_task():
    import os
    import time

    time.sleep(0.1)
    return os.environ["CNFLOW_WORKER_BLOCK_ID"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2])
def test_all_tasks_are_done_and_no_block_is_left(load, monkeypatch, seed):
    made = []

    def faulty(settings):
        made.append(FaultyProvider(LocalBackend(settings), RandomFaults(random.Random(seed), RATES), 0.3))
        return made[0]

    monkeypatch.setattr(LocalProvider, "backend", faulty)
    with load(LocalProvider(init_blocks=1, max_blocks=3)) as dfk:
        futures = [block_of_this_task() for _ in range(60)]
        assert all(future.result(60) for future in futures)
        run = dfk.executors["htex"]._provisioner._run.run
    assert made[0].made, "no fault was made"
    assert LocalBackend(LocalProvider()).find(run, "htex") == {}
