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
def failures():
    """Errors that the retry handler was called with."""
    return []


@pytest.fixture
def run(tmp_path, failures):
    def load(walltime=None, **settings):
        def handler(error, record):
            failures.append(error)
            return 1

        settings = {"max_workers": 2, "cores_per_worker": 0.1, "heartbeat_period": 0.5, **settings}
        executor = HighThroughputExecutor(provider=LocalProvider(walltime=walltime, max_blocks=1), **settings)
        return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"), retry_handler=handler))

    return load


@python_app
def log_and_sleep(path, seconds, walltime=None):
    """Return the id of the manager; each run is appended to the file at its begin."""
    import os
    import time

    with open(path, "a") as file:  # noqa: PTH123 - a task's body imports what it needs
        file.write(f"{seconds}\n")
    time.sleep(seconds)
    return os.getppid()


@pytest.fixture
def run_log(tmp_path):
    path = tmp_path / "run_log"
    path.touch()

    class RunLog:
        def runs(self, seconds):
            return path.read_text().split().count(str(seconds))

        def app(self, seconds, **options):
            return log_and_sleep(str(path), seconds, **options)

    return RunLog()


def test_signalled_manager_finishes_short_tasks_and_returns_long_ones(run, run_log, failures):
    with run(grace_period=2, prefetch=3) as dfk:
        first = run_log.app(0.01).result(60)
        short, long, waiting = run_log.app(1.0), run_log.app(3.5), run_log.app(0.2)
        while not (run_log.runs(1.0) and run_log.runs(3.5)):
            time.sleep(0.02)
        os.kill(first, signal.SIGTERM)
        assert short.result(60) == first
        assert long.result(60) == waiting.result(60) != first
        assert (run_log.runs(1.0), run_log.runs(3.5), run_log.runs(0.2)) == (1, 2, 1)
        assert len(dfk.executors["htex"].connected_blocks()) == 2
    assert failures == []


def test_signal_to_manager_and_workers_costs_no_retry(run, run_log, failures, tmp_path):
    """A batch system signals all processes of a job."""
    with run(grace_period=2):
        first = run_log.app(0.01).result(60)
        long = run_log.app(1.3)
        while not run_log.runs(1.3):
            time.sleep(0.02)
        listed = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        os.kill(first, signal.SIGTERM)
        for worker in map(int, listed):
            os.kill(worker, signal.SIGTERM)
        assert long.result(60) != first
    assert failures == []


def test_worker_that_dies_by_itself_counts_as_the_tasks_failure(run, failures):
    @python_app
    def die():
        import os
        import signal

        os.kill(os.getpid(), signal.SIGTERM)

    with run(), pytest.raises(WorkerLost):
        die().result(60)


def test_no_task_is_lost_when_blocks_end_by_their_walltime(run, run_log, failures):
    with run(walltime="00:00:04", grace_period=1) as dfk:
        futures = [run_log.app(0.4) for _ in range(30)]
        managers = {future.result(60) for future in futures}
        assert run_log.runs(0.4) == 30
        assert len(managers) == len(dfk.executors["htex"].connected_blocks()) >= 2
    assert failures == []


def test_task_longer_than_the_rest_of_its_block_starts_in_the_next(run, run_log, failures):
    with run(walltime=8, grace_period=0.5):
        first = run_log.app(2.5).result(60)
        assert run_log.app(3.0, walltime=5.2).result(60) != first  # 4.7 s are left at most, and 7.2 s in the next
        assert run_log.runs(3.0) == 1
        with pytest.raises(TaskDoesNotFitError, match=r"asks for walltime=60, which no node has"):
            run_log.app(0.1, walltime=60).result(60)
    assert failures == []


def test_manager_finishes_its_tasks_and_exits_after_the_drain_period(run, run_log, failures):
    with run(drain_period=2) as dfk:
        htex = dfk.executors["htex"]
        first = run_log.app(0.01).result(60)
        long = run_log.app(3.0)
        deadline = time.monotonic() + 20
        while not any(manager["draining"] for manager in htex.connected_managers()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        later = run_log.app(0.1)
        assert not long.done()
        assert long.result(60) == first
        assert later.result(60) != first
    assert failures == []


@pytest.mark.timeout(120)
def test_block_whose_walltime_is_less_than_the_usual_grace_runs_tasks(run, run_log):
    with run(walltime=6):
        run_log.app(0.0).result(40)
    assert run_log.runs(0.0) == 1
