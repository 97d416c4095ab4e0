"""Processes that die or fall silent, for real."""

import os
import signal
import subprocess
import sys
import tempfile
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


def test_a_dead_manager_is_known_by_its_block_and_not_by_its_silence(tmp_path):
    with load(tmp_path) as dfk:  # heartbeats as they come: 30 s and 120 s
        (manager,) = managers_of(dfk, 1)
        futures = [nap(0.1, n) for n in range(5)]
        begin = time.monotonic()
        os.kill(manager, signal.SIGKILL)
        assert [future.result(30) for future in futures] == list(range(5))
        assert time.monotonic() - begin < 15


def test_a_task_that_forks_and_returns_twice_harms_nobody(tmp_path):
    @python_app
    def forks():
        import os

        return os.fork() > 0

    with load(tmp_path):
        assert forks().result(30) is True
        assert [nap(0, n).result(30) for n in range(20)] == list(range(20))


def test_a_task_that_closes_everything_does_not_keep_its_manager_busy(tmp_path):
    @python_app
    def closes():
        import os
        import time

        os.closerange(1, 100)
        time.sleep(1.5)

    with load(tmp_path):
        _, manager = pids().result(30)
        closes()
        time.sleep(0.5)
        before = cpu_seconds(manager)
        time.sleep(0.8)
        assert cpu_seconds(manager) - before < 0.4
        assert nap(0, 1).result(30) == 1


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_run_that_ends_while_it_starts_leaves_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(children())
    for delay in (0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2):
        dfk = load(tmp_path)
        time.sleep(delay)
        dfk.cleanup()
    assert set(children()) == before
    assert list(folder.iterdir()) == []


def test_an_exception_that_is_no_exception_is_the_tasks_own(tmp_path):
    @python_app
    def odd():
        class Odd(BaseException):
            pass

        raise Odd("mine")

    with load(tmp_path):
        assert "mine" in str(odd().exception(30))
        assert nap(0, 1).result(30) == 1


def test_the_driver_is_killed_and_its_folder_of_sockets_goes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import cnflow, time\n"
        "from cnflow import Config, python_app\n"
        "from cnflow.executors import HighThroughputExecutor\n"
        "cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)]))\n"
        "python_app(lambda: 1)().result()\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n",
    )
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    driver = subprocess.Popen([sys.executable, script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE)
    assert driver.stdout.readline() == b"up\n"
    driver.kill()
    driver.communicate(timeout=20)
    wait_until(lambda: not list(folder.glob("cnflow-*")))
