"""Calls beside the graph, through real managers and workers."""

import os
import queue
import signal
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import ExecutorClosedError, WorkerLost
from cnflow.executors import HighThroughputExecutor
from cnflow.model.batching import BatchLimits, BatchPart
from cnflow.model.task import AppFunction, RunOptions
from cnflow.providers import LocalProvider
from cnflow.tasks.models import STREAM, Model
from tests.processes import children_of

WAIT = 30


def echo(value):
    return value


def nap(seconds):
    time.sleep(seconds)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


ECHO, NAP, DIE = AppFunction(echo), AppFunction(nap), AppFunction(die)


@pytest.fixture
def run(tmp_path):
    htex = HighThroughputExecutor(label="h", provider=LocalProvider(init_blocks=1), max_workers=2)
    with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path))) as dfk:
        yield dfk


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


class Outcomes:
    """Callback, and what it was called with."""

    def __init__(self):
        self.queue = queue.SimpleQueue()

    def __call__(self, outcome):
        self.queue.put(outcome)

    def next(self):
        return self.queue.get(timeout=WAIT)


@pytest.mark.timeout(120)
def test_calls_are_answered_beside_the_tasks_of_the_graph_and_not_by_it(run):
    direct = run.executors["h"].direct
    outcomes = Outcomes()
    task = python_app(echo)("graph")
    calls = {direct.submit(ECHO, (number,), done=outcomes): number for number in range(100)}
    assert {(each := outcomes.next()).id: each.value for _ in calls} == calls
    assert task.result(WAIT) == "graph"
    assert run.task_count == 1
    assert run.executors["h"].outstanding() == 0


@pytest.mark.timeout(120)
def test_call_is_cancelled_while_it_runs_and_one_that_kills_its_worker_is_an_error(run):
    direct = run.executors["h"].direct
    outcomes = Outcomes()
    direct.submit(ECHO, (1,), done=outcomes)
    outcomes.next()
    call = direct.submit(NAP, (WAIT,), done=outcomes)
    direct.cancel([call])
    assert isinstance(outcomes.next().error, CancelledError)
    direct.submit(NAP, (WAIT,), options=RunOptions(walltime=0.2), done=outcomes)
    assert "walltime" in str(outcomes.next().error)
    direct.submit(DIE, (), done=outcomes)
    error = outcomes.next().error
    assert isinstance(error, WorkerLost)
    assert "A call of die" in str(error)


@pytest.mark.timeout(120)
def test_calls_outlive_the_interchange(run):
    executor = run.executors["h"]
    outcomes = Outcomes()
    executor.direct.submit(NAP, (1.0,), done=outcomes)
    python_app(echo)(0).result(WAIT)
    (interchange,) = [pid for pid in children_of(os.getpid()) if "cnflow.interchange" in command_of(pid)]
    os.kill(interchange, signal.SIGKILL)
    executor.direct.submit(ECHO, ("after",), done=outcomes)
    found = [outcomes.next() for _ in range(2)]
    assert {outcome.value for outcome in found} == {None, "after"}
    assert not any(outcome.error for outcome in found)


@pytest.mark.timeout(120)
def test_calls_that_are_left_at_the_end_of_the_run_are_errors_and_later_ones_too(tmp_path):
    htex = HighThroughputExecutor(label="h", provider=LocalProvider(init_blocks=0, max_blocks=1))
    outcomes = Outcomes()
    with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path), strategy=lambda _: [])) as dfk:
        direct = dfk.executors["h"].direct
        direct.submit(ECHO, (1,), done=outcomes)
    direct.submit(ECHO, (2,), done=outcomes)
    errors = [outcomes.next().error for _ in range(2)]
    assert [type(error) for error in errors] == [ExecutorClosedError] * 2


class Doubler:
    """A model of the script."""

    def setup(self):
        self.factor = 2

    def predict(self, rows):
        return [self.factor * row for row in rows]

    def stream(self, row):
        for number in range(row):
            time.sleep(0.05)
            yield number


def model():
    app = AppFunction(Model(target=Doubler), name="doubler")
    app.batching = BatchLimits(max_batch=16)
    return app


@pytest.mark.timeout(120)
def test_models_are_loaded_before_their_first_call_and_answer_in_batches_beside_bulk(run):
    direct, app, news, outcomes = run.executors["h"].direct, model(), Outcomes(), Outcomes()
    direct.prepare([app], news)
    for _ in range(2):
        prepared = news.next()
        assert not prepared.error
        assert prepared.app is app
    assert direct.ready_workers(app) == 2
    calls = {
        direct.submit(app, (0, [number]), batch=BatchPart(1, is_bulk=number % 2 == 0), done=outcomes): number
        for number in range(200)
    }
    found = {outcome.id: outcome.value for outcome in (outcomes.next() for _ in calls)}
    assert found == {call: [2 * number] for call, number in calls.items()}


@pytest.mark.timeout(120)
def test_stream_goes_on_when_the_interchange_is_killed_and_each_piece_comes_once(run):
    direct, app, heard = run.executors["h"].direct, model(), Outcomes()
    direct.submit(app, (STREAM, [60]), batch=BatchPart(1), done=heard, piece=heard)
    first = heard.next()
    (interchange,) = [pid for pid in children_of(os.getpid()) if "cnflow.interchange" in command_of(pid)]
    os.kill(interchange, signal.SIGKILL)
    pieces = [first]
    while isinstance(pieces[-1], int):
        pieces.append(heard.next())
    assert pieces[-1].error is None
    assert pieces[:-1] == list(range(60))
