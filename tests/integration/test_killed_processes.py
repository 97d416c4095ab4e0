"""Runs whose managers, interchange or driver are killed or fall silent."""

import contextlib
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
from cnflow.executors.high_throughput.interchange_life import MOST_RESTARTS
from cnflow.providers import LocalProvider
from cnflow.wire import messages as msg


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
    except (FileNotFoundError, ProcessLookupError):  # the second: it ended between the opening and the reading
        return False


def managers_of(dfk, count):
    wait_until(lambda: dfk.executor_status()[0].managers == count)
    return sorted({manager for _, manager in [future.result(30) for future in [pids() for _ in range(20)]]})


def test_tasks_of_a_killed_manager_run_again_in_a_new_block(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1) as dfk:
        (manager,) = managers_of(dfk, 1)
        futures = [nap(0.5, n) for n in range(3)]
        os.kill(manager, signal.SIGKILL)
        assert [future.result(30) for future in futures] == [0, 1, 2]


def test_workers_end_with_their_killed_manager(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1):
        worker, manager = pids().result(30)
        os.kill(manager, signal.SIGKILL)
        wait_until(lambda: not is_running(worker))
        assert pids().result(30)[1] != manager


def test_tasks_of_a_silent_manager_run_elsewhere_and_its_late_results_are_dropped(tmp_path):
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


def kill_interchange():
    wait_until(interchanges)
    (victim,) = interchanges()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in interchanges())


def interchanges():
    return [pid for pid in children() if is_running(pid) and "cnflow.interchange" in command_of(pid)]


@python_app
def marks(folder, number, seconds):
    import pathlib
    import time

    with pathlib.Path(folder, str(number)).open("a") as mark:
        mark.write("x")
    time.sleep(seconds)
    return number


@pytest.mark.parametrize("connection", [{}, {"address": "127.0.0.1"}, {"address": "127.0.0.1", "encrypted": True}])
def test_killed_interchange_is_restarted_and_no_task_is_lost_or_run_twice(tmp_path, connection):
    ran = tmp_path / "ran"
    ran.mkdir()
    with load(tmp_path, blocks=2, **connection) as dfk:
        before = set(managers_of(dfk, 2))
        futures = [marks(str(ran), n, 2 if n in {3, 50} else 0.01) for n in range(200)]
        for _ in range(3):
            time.sleep(0.25)
            kill_interchange()
        assert [future.result(60) for future in futures] == list(range(200))
        assert {int(mark.name): mark.read_text() for mark in ran.iterdir()} == dict.fromkeys(range(200), "x")
        assert set(managers_of(dfk, 2)) == before, "a manager was replaced"


def test_restarted_interchange_gets_the_arguments_as_they_were_at_the_call(tmp_path):
    @python_app
    def echo(value):
        return value

    with load(tmp_path) as dfk:
        managers_of(dfk, 1)
        value = [1]
        running, waiting = nap(1.5, 0), [echo(value) for _ in range(100)]
        value.append(2)
        time.sleep(0.3)
        kill_interchange()
        assert running.result(30) == 0
        assert [future.result(30) for future in waiting] == [[1]] * 100


def test_tasks_cancelled_when_the_interchange_dies_stay_cancelled(tmp_path):
    with load(tmp_path) as dfk:
        managers_of(dfk, 1)
        running, waiting = nap(30, 1), nap(30, 2)
        time.sleep(0.3)
        kill_interchange()
        assert waiting.cancel()
        running.cancel()
        assert nap(0, 4).result(20) == 4


def test_block_that_drains_when_the_interchange_dies_returns_its_tasks(tmp_path):
    with load(tmp_path) as dfk:
        (manager,) = managers_of(dfk, 1)
        futures = [nap(1, n) for n in range(3)]
        time.sleep(0.3)
        dfk.executors["htex"]._client.order(msg.Drain("0"))
        time.sleep(0.2)
        kill_interchange()
        assert [future.result(30) for future in futures] == [0, 1, 2]
        wait_until(lambda: not is_running(manager))


def test_interchange_that_dies_repeatedly_fails_waiting_tasks_and_managers_end_after_the_grace(tmp_path):
    with load(tmp_path, heartbeat_period=0.3, heartbeat_threshold=1):
        worker, manager = pids().result(30)
        future = nap(60, 1)
        for _ in range(MOST_RESTARTS + 1):
            kill_interchange()
        with pytest.raises(InterchangeLostError, match=r"after 5 restarts; see .*interchange\.log"):
            future.result(30)
        wait_until(lambda: not is_running(manager) and not is_running(worker))
        with pytest.raises(InterchangeLostError):
            nap(0, 1).result(30)


def children():
    found = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
            found += [int(pid) for pid in (thread / "children").read_text().split()]
    return found


def command_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""  # it has just ended


def test_child_processes_of_a_task_end_with_the_run(tmp_path):
    @python_app
    def starts_a_child():
        import subprocess

        return subprocess.Popen(["sleep", "600"]).pid

    with load(tmp_path):
        child = starts_a_child().result(30)
        assert is_running(child)
    wait_until(lambda: not is_running(child))


def test_dead_manager_is_detected_by_its_provider_before_the_heartbeat_threshold(tmp_path):
    with load(tmp_path) as dfk:  # default heartbeats: 30 s and 120 s
        (manager,) = managers_of(dfk, 1)
        futures = [nap(0.1, n) for n in range(5)]
        begin = time.monotonic()
        os.kill(manager, signal.SIGKILL)
        assert [future.result(30) for future in futures] == list(range(5))
        assert time.monotonic() - begin < 15


def test_task_that_forks_and_returns_twice_affects_no_other_task(tmp_path):
    @python_app
    def forks():
        import os

        return os.fork() > 0

    with load(tmp_path):
        assert forks().result(30) is True
        assert [nap(0, n).result(30) for n in range(20)] == list(range(20))


def test_task_that_closes_all_descriptors_does_not_keep_its_manager_busy(tmp_path):
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


def test_run_that_ends_during_its_start_leaves_no_process(tmp_path, monkeypatch):
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


def test_base_exception_of_a_task_is_raised_by_its_future(tmp_path):
    @python_app
    def odd():
        class Odd(BaseException):
            pass

        raise Odd("mine")

    with load(tmp_path):
        assert "mine" in str(odd().exception(30))
        assert nap(0, 1).result(30) == 1


def test_folder_of_sockets_is_removed_after_the_driver_is_killed(tmp_path):
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
