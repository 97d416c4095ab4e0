"""Bugs of Parsl that cnflow does not have, one test each, on threads and on processes.

Bugs of staged files are tested in `test_staging`, of ``from parsl import *`` with the Parsl layer.
"""

import os
import signal
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, bash_app, python_app
from cnflow.errors import AppTimeout, DependencyError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor


@pytest.fixture(params=["threads", "processes"], autouse=True)
def dfk(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    executor = ThreadPoolExecutor() if request.param == "threads" else HighThroughputExecutor(max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))) as loaded:
        yield loaded


@pytest.fixture
def count(tmp_path):
    """Return the number of runs that a task has recorded."""
    return lambda: len(list(tmp_path.glob("ran-*")))


@python_app(cache=True)
def numbers(folder, first, nap=0.0):
    import tempfile
    import time

    tempfile.mkstemp(prefix="ran-", dir=folder)
    time.sleep(nap)
    return [first]


@python_app
def add(a, b=0):
    return a + b


@python_app
def total(inputs=()):
    return sum(inputs)


def test_list_of_inputs_is_not_changed():
    inputs = [add(1), 2, add(3)]
    given = list(inputs)
    assert total(inputs=inputs).result(60) == 6
    assert inputs == given


def test_each_caller_gets_a_copy_of_a_cached_list(tmp_path, count):
    first = numbers(tmp_path, 1).result(60)
    first.append(99)
    second = numbers(tmp_path, 1).result(60)
    second.append(98)
    assert numbers(tmp_path, 1).result(60) == [1]
    assert count() == 1


def test_files_and_bytes_can_be_arguments_of_a_cached_app(tmp_path, count):
    (tmp_path / "a.txt").write_text("abc")

    for _ in range(2):
        assert numbers(tmp_path, b"abc").result(60) == [b"abc"]
        (result,) = numbers(tmp_path, File(tmp_path / "a.txt")).result(60)
        assert Path(result).read_text() == "abc"
    assert count() == 2


def test_outputs_may_be_strings():
    @bash_app
    def write(outputs=()):
        return f"echo hello > {outputs[0]}"

    future = write(outputs=["x.txt"])
    assert Path(future.outputs[0].result(60)).read_text() == "hello\n"


def test_waiting_and_running_tasks_are_cancelled(tmp_path, until):
    started = tmp_path / "started"

    @python_app
    def nap():
        import time

        started.touch()
        for _ in range(6000):
            time.sleep(0.01)

    running = nap()
    waiting = add(running)
    after = add(waiting)
    until(started.exists)
    assert waiting.cancel()
    assert running.cancel()
    for future in (running, waiting):
        with pytest.raises(CancelledError):
            future.result(60)
        assert future.cancelled()
    assert isinstance(after.exception(60), DependencyError)


def test_identical_calls_in_flight_run_once(tmp_path, count):
    futures = [numbers(tmp_path, 1, nap=0.3) for _ in range(4)]
    assert [future.result(60) for future in futures] == [[1]] * 4
    assert count() == 1


def test_misspelt_attribute_of_a_future_makes_no_task(dfk):
    future = add(1)
    with pytest.raises(AttributeError, match="Did you mean 'result'"):
        future.resutl  # noqa: B018 - asking for it is the test
    assert future.result(60) == 1
    assert dfk.task_count == 1


def test_missing_part_of_a_result_fails_at_once():
    error = add(1).no_such_thing.exception(60)
    assert isinstance(error, AttributeError)
    assert "(add) is of type int)" in str(error)


def test_processes_of_a_shell_command_end_with_its_walltime(tmp_path, until):
    @bash_app
    def family():
        return f"( sleep 600 & echo $! > {tmp_path}/child.new; mv {tmp_path}/child.new {tmp_path}/child; wait )"

    future = family(walltime=1)
    assert isinstance(future.exception(60), AppTimeout)
    child = int((tmp_path / "child").read_text())
    until(lambda: not is_running(child))


def test_killed_manager_leaves_no_process(dfk, request, until):
    if isinstance(dfk.config.executors[0], ThreadPoolExecutor):
        pytest.skip("threads have no manager")

    @python_app
    def worker():
        import os
        import subprocess

        child = subprocess.Popen(["sleep", "600"])
        return os.getppid(), os.getpid(), child.pid

    manager, *others = worker().result(60)
    os.kill(manager, signal.SIGKILL)
    for process in others:
        until(lambda process=process: not is_running(process))


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
