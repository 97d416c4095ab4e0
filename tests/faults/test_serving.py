"""Served models through the loss of workers and managers, changes of versions and the end: no request fails."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import model_app
from cnflow.config import HighThroughputExecutor, LocalProvider, ModelConfig, ServeConfig, VersionConfig
from tests.served import Load, predict
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
THRESHOLD = 3.0


@model_app(max_batch=16)
class Times:
    """Multiplies; leaves the ids of its processes in a folder."""

    def __init__(self, factor, folder, seconds=0.0):
        self.factor, self.folder, self.seconds = factor, folder, seconds

    def setup(self):
        Path(self.folder, str(os.getpid())).touch()

    def predict(self, rows):
        if self.seconds:
            time.sleep(self.seconds)
        if -1 in rows:
            os.kill(os.getpid(), signal.SIGKILL)
        return [row * self.factor for row in rows]


def pids(folder):
    return {int(path.name) for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pids"
    made.mkdir()
    return made


@pytest.fixture
def serve(tmp_path, folder):
    """Serves ``times`` in *blocks* of *workers*, ready."""
    started = []

    def make(blocks=1, workers=1, seconds=0.0, **model):
        executor = HighThroughputExecutor(
            provider=LocalProvider(init_blocks=blocks, min_blocks=blocks, max_blocks=blocks),
            max_workers=workers,
            cores_per_worker=0.1,
            heartbeat_period=THRESHOLD / 4,
            heartbeat_threshold=THRESHOLD,
        )
        first = VersionConfig(version="1", app=Times.bind(2, str(folder), seconds), warm=blocks * workers)
        second = VersionConfig(version="2", app=Times.bind(3, str(folder)), weight=0)
        config = ServeConfig(
            models=[ModelConfig(name="times", versions=[first, second], **model)],
            executors=[executor],
            run_dir=str(tmp_path / "runinfo"),
        )
        server = cnflow.Serve(config=config, port=0)
        started.append(server.start())
        server.wait_until_ready(60)
        return server

    yield make
    for server in started:
        server.close()


def double(row, result):
    return result == 2 * row


def test_no_request_fails_when_a_worker_is_killed(serve, folder):
    server = serve(workers=2)
    with Load(server.url, "times", double) as load:
        for _ in range(3):
            known = pids(folder)
            os.kill(max(known), signal.SIGKILL)
            (folder / str(max(known))).unlink()
            load.more(40)
            wait_until(lambda before=known: pids(folder) - before, 30)  # another one has loaded the model
        figures = load.finish()
    assert not figures.failures
    assert len(figures.latencies) > 120


def test_no_request_fails_when_a_manager_is_killed(serve, folder, processes):
    server = serve(blocks=2)
    known = pids(folder)
    assert len(known) == 2
    with Load(server.url, "times", double) as load:
        manager = manager_of(max(known))
        os.kill(manager, signal.SIGKILL)
        load.more(100)
        figures = load.finish()
    assert not figures.failures


def manager_of(pid):
    """Process id of the manager above the worker *pid*."""
    while b"cnflow/manager/__main__" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert pid > 1
    return pid


def test_no_request_fails_when_a_block_is_drained(serve, folder):
    server = serve(blocks=2)
    with Load(server.url, "times", double) as load:
        executor = next(iter(cnflow.dfk().executors.values()))
        executor.drain_block("0")
        load.more(150)
        figures = load.finish()
    assert not figures.failures


def test_versions_roll_forward_and_back_without_a_failed_request(serve, folder):
    server = serve()
    with Load(server.url, "times", lambda row, result: result in {2 * row, 3 * row}) as load:
        server.command("roll", model="times", version="2")
        wait_until(lambda: is_answered_by(server, "2"), 60)
        load.more(20)
        assert predict(server.url, "times", [5]).json["results"] == [15]
        server.command("back", model="times")
        wait_until(lambda: is_answered_by(server, "1"), 60)
        load.more(20)
        assert predict(server.url, "times", [5]).json["results"] == [10]
        figures = load.finish()
    assert not figures.failures


def is_answered_by(server, version):
    return predict(server.url, "times", [1]).json["results"] == [{"1": 2, "2": 3}[version]]


def test_drain_answers_what_was_accepted(serve):
    server = serve(seconds=0.5)
    url, answers = server.url, []
    callers = [
        threading.Thread(target=lambda n=n: answers.append((n, predict(server.url, "times", [n])))) for n in range(24)
    ]
    for caller in callers:
        caller.start()
    wait_until(lambda: server.status()["models"][0]["versions"][0]["in_flight"] >= 20, 30, 0.02)
    server.command("drain")
    for caller in callers:
        caller.join(60)
    assert sorted((n, answer.status, answer.json["results"]) for n, answer in answers) == [
        (n, 200, [2 * n]) for n in range(24)
    ]
    server.wait()
    with pytest.raises(ConnectionRefusedError):
        predict(url, "times", [1])


def test_row_that_kills_its_worker_fails_no_other_request(serve):
    server = serve(workers=2)
    with Load(server.url, "times", double, rate=60.0) as load:
        poisonous = predict(server.url, "times", [-1])
        load.more(40)
        figures = load.finish()
    assert poisonous.status >= 500
    code, message = poisonous.error
    assert "worker" in code
    assert "SIGKILL" in message
    assert not figures.failures
