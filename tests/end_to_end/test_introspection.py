"""Introspection of a live run, by its own script and by `cnflow blocks` and `cnflow explain`."""

import json
import platform
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import cnflow
from cnflow import Config, control_socket, python_app
from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


@python_app(executors=["htex"])
def hold(began, release):
    """Make the file *began*, and return once the file *release* exists."""
    import os
    import time
    from pathlib import Path

    Path(began).touch()
    while not Path(release).exists():
        time.sleep(0.02)
    return os.getpid()


@python_app(executors=["htex"])
def wait_for_all(*_):
    return True


def wait_until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def busy_run(tmp_path):
    """A run with one worker that is busy until the test ends."""
    runs = tmp_path / "runinfo"
    provider = LocalProvider(init_blocks=1, max_blocks=1)
    htex = HighThroughputExecutor(provider=provider, max_workers=1, prefetch=0)
    began, release = tmp_path / "began", tmp_path / "release"
    with cnflow.load(Config(executors=[htex, ThreadPoolExecutor(max_threads=1)], run_dir=str(runs))) as dfk:
        hold(str(began), str(release))
        wait_until(began.exists)
        yield dfk
        release.touch()


def command(*args, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "cnflow.cli", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.splitlines() or done.stderr.splitlines()


def test_connected_managers_have_parsls_field_names(busy_run):
    htex = busy_run.executors["htex"]
    [manager] = htex.connected_managers()
    assert {name: manager[name] for name in ("block_id", "worker_count", "tasks", "idle_duration", "active")} == {
        "block_id": "0",
        "worker_count": 1,
        "tasks": 1,
        "idle_duration": 0.0,
        "active": True,
    }
    assert manager["hostname"] == socket.gethostname()
    assert manager["python_version"] == platform.python_version()
    assert manager["cnflow_version"] == cnflow.__version__
    assert 0 <= manager["last_heartbeat_age"] < 60
    assert (htex.connected_blocks(), htex.connected_workers, htex.outstanding()) == (["0"], 1, 1)


def test_manager_on_hold_gets_no_more_tasks(busy_run, tmp_path):
    htex = busy_run.executors["htex"]
    [manager] = htex.connected_managers()
    htex.hold_worker(manager["manager"])
    waiting = wait_for_all()
    (tmp_path / "release").touch()
    wait_until(lambda: htex.outstanding() == 1)
    [manager] = htex.connected_managers()
    assert (manager["active"], manager["tasks"]) == (False, 0)
    assert "On hold: 1 manager." in busy_run.explain(waiting.tid)
    assert not waiting.done()
    busy_run.cleanup()
    assert htex.connected_managers() == []


def test_hold_of_an_unknown_manager_is_refused(busy_run):
    with pytest.raises(UnknownNameError, match="No manager is called 'abc'"):
        busy_run.executors["htex"].hold_worker("abc")


def test_lists_are_empty_before_a_manager_connects(tmp_path):
    htex = HighThroughputExecutor(provider=LocalProvider(init_blocks=0))
    with cnflow.load(Config(executors=[htex], run_dir=str(tmp_path))) as dfk:
        executor = dfk.executors["htex"]
        assert executor.connected_managers() == executor.connected_blocks() == []
        assert executor.connected_workers == executor.outstanding() == 0


def test_explain_command_shows_why_a_task_waits(busy_run, tmp_path):
    wait_for_all(wait_for_all())
    code, lines = command("explain", 0, cwd=tmp_path)
    assert code == 0
    assert re.fullmatch(r"Task 0 \(hold\) has run for \d+ s, in worker 0 of manager \w+ on (.*), block 0\.", lines[0])
    assert f" on {socket.gethostname()}, " in lines[0]
    assert command("explain", 2, cwd=tmp_path) == (
        0,
        [
            "Task 2 (wait_for_all) waits for 1 future that is not done:",
            "  task 1 (wait_for_all), launched",
            "Task 1 (wait_for_all) waits for a worker of executor 'htex'; it is the next.",
            "Connected: 1 worker of 1 manager, with 1 task.",
            "Executor 'htex' has no image: it takes apps without one.",
        ],
    )


def test_blocks_command_shows_the_blocks(busy_run, tmp_path):
    code, [head, row] = command("blocks", "--run", busy_run.run_dir, cwd="/")
    assert code == 0
    assert " ".join(head.split()) == "executor block provider id state nodes workers tasks age last message"
    assert row.split()[:2] == ["htex", "0"]
    assert row.split()[3:7] == ["running", "1", "1", "1"]
    assert head.index("state") == row.index("running")
    shown = json.loads("\n".join(command("blocks", "--json", cwd=tmp_path)[1]))
    assert [(block["block"], block["tasks"]) for block in shown["blocks"]] == [("0", 1)]


def test_run_in_a_folder_with_a_long_name_answers(tmp_path):
    runs = tmp_path / ("long" * 30) / ("longer" * 20)
    with cnflow.load(Config(executors=[ThreadPoolExecutor()], run_dir=str(runs))) as dfk:
        assert control_socket.ask(control_socket.find_live_run(runs), {"ask": "blocks"}) == {"blocks": []}
        assert control_socket.find_live_run(runs) == dfk.run_dir


def test_unknown_query_is_answered_with_the_known_ones(tmp_path):
    with (
        cnflow.load(Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path))) as dfk,
        pytest.raises(ConfigurationError, match=r"Known: blocks, .*explain"),
    ):
        control_socket.ask(dfk.run_dir, {"ask": "block"})


def test_command_queries_the_newest_live_run(tmp_path):
    config = Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path))
    with cnflow.load(config):
        pass
    with pytest.raises(ConfigurationError, match=r"is live: the newest, .*000, has ended"):
        control_socket.find_live_run(tmp_path)
    with pytest.raises(ConfigurationError, match=r"The run in .*000 has ended"):
        control_socket.find_live_run(tmp_path / "000")
    with cnflow.load(config):
        (tmp_path / "007").mkdir()  # a run that has ended
        assert control_socket.find_live_run(tmp_path).name == "001"
    assert not list(tmp_path.rglob(control_socket.FILE))


def test_run_of_a_killed_driver_counts_as_ended(tmp_path):
    script = (
        "import os, signal, cnflow; from cnflow import Config; from cnflow.executors import ThreadPoolExecutor\n"
        "cnflow.load(Config(executors=[ThreadPoolExecutor()], usage_tracking=0))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "runinfo" / "000" / control_socket.FILE).exists()
    assert command("blocks", cwd=tmp_path) == (2, ["No run in runinfo is live: the newest, runinfo/000, has ended."])


def test_silent_connection_does_not_delay_the_end_of_the_run(tmp_path, monkeypatch):
    with cnflow.load(Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path))) as dfk:
        silent = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(dfk.run_dir)
        silent.connect(control_socket.FILE)
    with silent:
        assert silent.recv(1) == b""


def test_command_without_any_run_fails_with_the_option_that_names_one(tmp_path):
    code, [line] = command("explain", 3, cwd=tmp_path)
    assert (code, line) == (2, "There is no run in runinfo. Add --run DIR with the folder of the run or of all runs.")
