"""Blocks that end: by their walltime, by a drain period, by a signal."""

import os
import signal
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import TaskDoesNotFitError, WorkerLost
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@pytest.fixture
def prices():
    """Of what the retry handler was asked for."""
    return []


@pytest.fixture
def run(tmp_path, prices):
    def load(walltime=None, **settings):
        def handler(error, record):
            prices.append(error)
            return 1

        settings = {"max_workers": 2, "cores_per_worker": 0.1, "heartbeat_period": 0.5, **settings}
        executor = HighThroughputExecutor(provider=LocalProvider(walltime=walltime, max_blocks=1), **settings)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"), retry_handler=handler))

    return load


@python_app
def noted(path, seconds, walltime=None):
    """Which manager ran it; each run is written down as it begins."""
    import os
    import time

    with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
        file.write(f"{seconds}\n")
    time.sleep(seconds)
    return os.getppid()


@pytest.fixture
def ledger(tmp_path):
    path = tmp_path / "ledger"
    path.touch()

    class Ledger:
        def runs(self, seconds):
            return path.read_text().split().count(str(seconds))

        def app(self, seconds, **wishes):
            return noted(str(path), seconds, **wishes)

    return Ledger()


def test_a_signalled_manager_ends_the_short_and_hands_back_the_long(run, ledger, prices):
    with run(grace_period=2, prefetch=3) as dfk:
        first = ledger.app(0.01).result(60)
        short, long, waiting = ledger.app(1.0), ledger.app(3.5), ledger.app(0.2)
        while not (ledger.runs(1.0) and ledger.runs(3.5)):
            time.sleep(0.02)
        os.kill(first, signal.SIGTERM)
        assert short.result(60) == first
        assert long.result(60) == waiting.result(60) != first
        assert (ledger.runs(1.0), ledger.runs(3.5), ledger.runs(0.2)) == (1, 2, 1)
        assert len(dfk.executors["htex"].connected_blocks()) == 2
    assert prices == []


def test_whoever_signals_the_workers_too_costs_no_retry(run, ledger, prices, tmp_path):
    """As a scheduler does that ends all processes of a job."""
    with run(grace_period=2):
        first = ledger.app(0.01).result(60)
        long = ledger.app(1.3)
        while not ledger.runs(1.3):
            time.sleep(0.02)
        listed = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        os.kill(first, signal.SIGTERM)
        for worker in map(int, listed):
            os.kill(worker, signal.SIGTERM)
        assert long.result(60) != first
    assert prices == []


def test_a_worker_that_dies_by_itself_is_still_the_tasks_own_fault(run, prices):
    @python_app
    def die():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    with run(), pytest.raises(WorkerLost):
        die().result(60)


def test_blocks_that_end_by_their_walltime_lose_nothing(run, ledger, prices):
    with run(walltime="00:00:04", grace_period=1) as dfk:
        futures = [ledger.app(0.4) for _ in range(30)]
        managers = {future.result(60) for future in futures}
        assert ledger.runs(0.4) == 30
        assert len(managers) == len(dfk.executors["htex"].connected_blocks()) >= 2
    assert prices == []


def test_a_task_that_cannot_end_in_its_block_is_started_in_the_next(run, ledger, prices):
    with run(walltime=5, grace_period=0.5):
        first = ledger.app(2.5).result(60)
        assert ledger.app(3.0, walltime=3.2).result(60) != first
        assert ledger.runs(3.0) == 1
        with pytest.raises(TaskDoesNotFitError, match=r"asks for walltime=60, which no node has"):
            ledger.app(0.1, walltime=60).result(60)
    assert prices == []


def test_after_the_drain_period_a_manager_ends_what_it_has_and_leaves(run, ledger, prices):
    with run(drain_period=2) as dfk:
        htex = dfk.executors["htex"]
        first = ledger.app(0.01).result(60)
        long = ledger.app(3.0)
        deadline = time.monotonic() + 20
        while not any(manager["draining"] for manager in htex.connected_managers()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        later = ledger.app(0.1)
        assert not long.done()
        assert long.result(60) == first
        assert later.result(60) != first
    assert prices == []
