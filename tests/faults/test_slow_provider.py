"""A provider whose calls take long (sbatch on a busy controller, a cloud), in real runs."""

import os
import signal
import threading
import time

import pytest

from cnflow import python_app
from cnflow.errors import BlockError
from cnflow.providers import LocalProvider
from cnflow.providers.local.provider import LocalBackend


@python_app
def nap(seconds):
    import time

    time.sleep(seconds)


class SlowStarts:
    """Every start of a block but the first takes until it is released, 20 s at most."""

    def __init__(self, start):
        self.is_second = threading.Event()
        self.release = threading.Event()
        self.count = 0
        self.start = start

    def __call__(self, provider, request):
        self.count += 1
        if self.count > 1:
            self.is_second.set()
            self.release.wait(20)
        return self.start(provider, request)


@pytest.fixture
def slow(monkeypatch):
    starts = SlowStarts(LocalBackend._submit)

    def submit(provider, request):
        return starts(provider, request)

    monkeypatch.setattr(LocalBackend, "_submit", submit)
    yield starts
    starts.release.set()


def wait_for(condition, seconds=8):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not happen in time"
        time.sleep(0.05)


@pytest.mark.timeout(90)
def test_a_run_ends_soon_though_a_block_is_being_asked_for(load, slow):
    dfk = load(blocks=2)
    try:
        nap(0).result(30)
        assert slow.is_second.wait(20)
    finally:
        begin = time.monotonic()
        dfk.cleanup()
    assert time.monotonic() - begin < 8


@pytest.mark.timeout(90)
def test_a_block_that_starts_after_the_end_of_its_run_is_cancelled(load, slow, caplog):
    dfk = load(blocks=2)
    try:
        nap(0).result(30)
        assert slow.is_second.wait(20)
    finally:
        dfk.cleanup()
    assert "-htex-1 has not returned; they may start" in caplog.text
    slow.release.set()
    wait_for(lambda: "started after the end of the run; they are cancelled" in caplog.text)


@pytest.mark.timeout(90)
def test_a_block_that_dies_is_noticed_though_another_is_being_asked_for(load, slow):
    with load(blocks=2, heartbeat_period=30, heartbeat_threshold=120) as dfk:
        nap(0).result(30)
        assert slow.is_second.wait(20)
        executor = dfk.executors["htex"]
        wait_for(lambda: executor.block_reports()[0].native)
        os.kill(int(executor.block_reports()[0].native.partition(":")[0]), signal.SIGKILL)
        wait_for(lambda: not dfk.executor_status()[0].managers)


@pytest.mark.timeout(90)
def test_a_block_that_started_though_its_submit_timed_out_does_not_come_on_top_of_max_blocks(load, monkeypatch):
    submit, calls = LocalBackend.submit, []

    def time_out(provider, requests):
        answers = submit(provider, requests)
        calls.append(answers)
        if len(calls) == 1:
            raise BlockError("no answer within 30 s")
        return answers

    monkeypatch.setattr(LocalBackend, "submit", time_out)
    with load(LocalProvider(init_blocks=1, max_blocks=1)) as dfk:
        nap(0).result(30)
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            assert dfk.executor_status()[0].managers <= 1, f"max_blocks=1, and {calls} run"
            time.sleep(0.05)
