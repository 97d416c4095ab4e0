"""Batches of calls of models in real managers and workers: who runs with whom, and calls that kill, hang or fail."""

import os
import signal
import time

import pytest

import cnflow
from cnflow import Config, model_app, python_app
from cnflow.errors import AppTimeout, WorkerLost
from cnflow.executors import HighThroughputExecutor


@model_app(max_batch=16)
class Batch:
    """Answers each row with all rows that it runs with."""

    def predict(self, rows):
        time.sleep(max([row[1] for row in rows if row[0] == "sleep"], default=0))
        if any(row[0] == "die" for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(row[0] == "raise" for row in rows):
            raise ValueError("a bad row")
        return [(row, tuple(rows)) for row in rows]


@python_app
def add(x, y):
    return x + y


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    executor = HighThroughputExecutor(max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path_factory.mktemp("run")), retries=0)):
        assert Batch([("warm", 0)]).result(60)
        yield


def call(kind, number=0, **options):
    return Batch([(kind, number)], **options)


def companions(future):
    ((_, rows),) = future.result(60)
    return {number for kind, number in rows if kind == "n"}


def test_calls_that_come_while_the_worker_is_busy_run_together(run):
    busy = call("sleep", 1.5)
    waiting = [call("n", number) for number in range(40)]
    assert busy.result(60)
    together = [companions(future) for future in waiting]
    assert max(map(len, together)) == 16, "as many as a batch may have"
    assert all(number in numbers for number, numbers in enumerate(together))


def test_call_that_kills_its_worker_fails_alone(run):
    busy = call("sleep", 0.5)
    futures = [call("n", 0), call("n", 1), call("die"), call("n", 2), call("n", 3)]
    assert busy.result(60)
    error = futures.pop(2).exception(120)
    assert isinstance(error, WorkerLost)
    assert error.exitcode == -signal.SIGKILL
    for number, future in enumerate(futures):
        assert number in companions(future)


def test_call_that_raises_fails_alone(run):
    busy = call("sleep", 0.5)
    futures = [call("n", 0), call("raise"), call("n", 1)]
    assert busy.result(60)
    assert isinstance(futures.pop(1).exception(60), ValueError)
    assert all(number in companions(future) for number, future in enumerate(futures))


def test_call_that_is_longer_than_its_walltime_fails_alone(run):
    busy = call("sleep", 0.5)
    futures = [call("n", 0, walltime=1), call("sleep", 50, walltime=1), call("n", 1, walltime=1)]
    assert busy.result(60)
    assert isinstance(futures.pop(1).exception(60), AppTimeout)
    assert all(number in companions(future) for number, future in enumerate(futures))


def test_cancelled_call_leaves_those_of_its_batch_alone(run):
    busy = call("sleep", 0.5)
    futures = [call("sleep", 0.5), call("n", 1), call("n", 2)]
    assert busy.result(60)
    time.sleep(0.2)
    futures[1].cancel()
    assert 2 in companions(futures[2])
    assert futures[0].result(60)


def test_rows_of_a_map_let_single_calls_go_first(run):
    busy = call("sleep", 0.5)
    bulk = Batch.map([("n", number) for number in range(200)])
    single = call("n", 1000)
    assert busy.result(60)
    assert companions(single) == {1000}
    assert [future.result(60)[0] for future in bulk] == [("n", number) for number in range(200)]


def test_ordinary_tasks_run_beside_calls(run):
    sums = [add(number, 1) for number in range(300)]
    calls = [call("n", number) for number in range(300)]
    assert [future.result(60) for future in sums] == list(range(1, 301))
    assert all(number in companions(future) for number, future in enumerate(calls))
