"""An interchange that stands still: stopped here; a hung file system, swap or a paused pod elsewhere."""

import os
import signal
import time

import pytest

from cnflow import python_app


@python_app
def one():
    return 1


@pytest.fixture
def interchange_of(until, processes):
    """Returns the process id of the interchange of *dfk*, once it has one."""

    def find(dfk):
        return until(lambda: getattr(dfk.executors["htex"]._client._connection._process, "pid", None))

    return find


def test_frozen_interchange_is_replaced_and_its_managers_keep_their_tasks(load, ledger, interchange_of, until):
    with load(heartbeat_period=1.5, heartbeat_threshold=6, prefetch=1) as dfk:
        _, _, manager = ledger.app(0, 0).result(30)
        running, waiting = ledger.app(1, 5), ledger.app(2, 0)
        until(lambda: dfk.executors["htex"]._managers.report().managers[0].tasks == 2)
        frozen = interchange_of(dfk)
        os.kill(frozen, signal.SIGSTOP)
        begin = time.monotonic()
        assert [future.result(60)[2] for future in (running, waiting)] == [manager, manager]
        assert time.monotonic() - begin < 15
        assert interchange_of(dfk) != frozen
    assert ledger.runs() == {0: 1, 1: 1, 2: 1}


def test_interchange_that_stands_still_for_less_than_that_is_kept(load, ledger, interchange_of):
    with load(heartbeat_period=2, heartbeat_threshold=8) as dfk:
        ledger.app(0, 0).result(30)
        kept = interchange_of(dfk)
        os.kill(kept, signal.SIGSTOP)
        future = ledger.app(1, 0)
        time.sleep(2)
        os.kill(kept, signal.SIGCONT)
        assert future.result(30)[0] == 1
        assert interchange_of(dfk) == kept


SCRIPT = """\
import sys, time
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

@python_app
def nap(seconds):
    import time
    time.sleep(seconds)
    return 1

executor = HighThroughputExecutor(
    provider=LocalProvider(), max_workers=1, heartbeat_period=0.5, heartbeat_threshold=2
)
with cnflow.load(Config(executors=[executor])) as dfk:
    process = lambda: dfk.executors["htex"]._client._connection._process.pid
    nap(0).result(30)
    print(process(), flush=True)
    sys.stdin.readline()
    assert nap(0).result(30) == 1
    print(process(), flush=True)
"""


def test_driver_that_was_stopped_itself_kills_no_healthy_interchange(tmp_path, until, start_script):
    driver = start_script(SCRIPT)
    before = driver.stdout.readline()
    driver.send_signal(signal.SIGSTOP)
    time.sleep(6)  # three thresholds
    driver.send_signal(signal.SIGCONT)
    driver.stdin.write("\n")
    driver.stdin.flush()
    assert driver.stdout.readline() == before
    assert driver.wait(30) == 0


@pytest.fixture
def start_script(tmp_path):
    import subprocess
    import sys

    started = []

    def start(text):
        script = tmp_path / "script.py"
        script.write_text(text)
        started.append(
            subprocess.Popen(
                [sys.executable, str(script)],
                cwd=tmp_path,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.timeout(120)
def test_frozen_interchange_is_noticed_with_short_heartbeats(load, interchange_of):
    with load(heartbeat_period=0.5, heartbeat_threshold=2) as dfk:
        assert one().result(30) == 1
        pid = interchange_of(dfk)
        os.kill(pid, signal.SIGSTOP)
        assert one().result(25) == 1
