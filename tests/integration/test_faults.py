"""Processes that die or fall silent, for real."""

import os
import signal
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import InterchangeLostError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider


@python_app
def pids():
    import os
    import time

    time.sleep(0.05)
    return os.getpid(), os.getppid()


@python_app
def nap(seconds, number):
    import time

    time.sleep(seconds)
    return number


def load(tmp_path, blocks=1, **settings):
    executor = HighThroughputExecutor(provider=LocalProvider(init_blocks=blocks), max_workers=1, **settings)
    return cnflow.load(Config(executors=[executor], run_dir=str(tmp_path)))


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def managers_of(dfk, count):
    wait_until(lambda: dfk.executor_status()[0].managers == count)
    return sorted({manager for _, manager in [future.result(30) for future in [pids() for _ in range(20)]]})


def test_the_tasks_of_a_killed_manager_are_run_again_in_a_new_block(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1) as dfk:
        (manager,) = managers_of(dfk, 1)
        futures = [nap(0.5, n) for n in range(3)]
        os.kill(manager, signal.SIGKILL)
        assert [future.result(30) for future in futures] == [0, 1, 2]


def test_a_killed_manager_takes_its_workers_with_it(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1):
        worker, manager = pids().result(30)
        os.kill(manager, signal.SIGKILL)
        wait_until(lambda: not is_running(worker))
        assert pids().result(30)[1] != manager


def test_what_a_silent_manager_held_is_run_elsewhere_and_its_late_results_are_dropped(tmp_path):
    with load(tmp_path, blocks=2, heartbeat_period=0.3, heartbeat_threshold=1) as dfk:
        silent, _ = managers_of(dfk, 2)
        futures = [nap(0.3, n) for n in range(6)]
        os.kill(silent, signal.SIGSTOP)
        try:
            assert [future.result(30) for future in futures] == list(range(6))
        finally:
            os.kill(silent, signal.SIGCONT)
        wait_until(lambda: not is_running(silent))
        assert nap(0, 7).result(30) == 7


def test_a_lost_interchange_fails_what_waits_and_managers_end_after_the_grace(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1):
        worker, manager = pids().result(30)
        future = nap(60, 1)
        interchange = next(pid for pid in children() if "cnflow.interchange" in command_of(pid))
        os.kill(interchange, signal.SIGKILL)
        with pytest.raises(InterchangeLostError, match=r"interchange\.log"):
            future.result(30)
        wait_until(lambda: not is_running(manager) and not is_running(worker))
        with pytest.raises(InterchangeLostError):
            nap(0, 1).result(30)


def children():
    return [
        int(pid) for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()
    ]


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_what_a_task_started_ends_with_the_run(tmp_path):
    @python_app
    def starts_a_child():
        import subprocess

        return subprocess.Popen(["sleep", "600"]).pid

    with load(tmp_path):
        child = starts_a_child().result(30)
        assert is_running(child)
    wait_until(lambda: not is_running(child))
