"""`cnflow top`, `tasks`, `task` and `logs` on a run that goes on, without monitoring; logs as JSON lines."""

# ruff: noqa: T201 - tasks print

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import cnflow
from cnflow import AUTO_LOGNAME, Config, bash_app, python_app
from cnflow.config import LogFiles
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

GATE = threading.Event()


@python_app
def held():
    GATE.wait(60)


@python_app
def broken(word):
    raise ValueError(word)


@python_app
def after(first):
    return first


@python_app
def say(word):
    print(word)


@bash_app
def flood(stdout=AUTO_LOGNAME):
    return "seq 20000"


def command(run_dir, *arguments):
    whole = [sys.executable, "-m", "cnflow.cli", *arguments, "--run", str(run_dir)]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def live(tmp_path):
    """Folder of runs with one that is held at its first task."""
    GATE.clear()
    with cnflow.load(Config(executors=[ThreadPoolExecutor(max_threads=2)], run_dir=str(tmp_path))):
        first = held()
        with pytest.raises(ValueError, match="red"):
            broken("\x1b[31mred").result()
        last = after(first)
        yield tmp_path
        GATE.set()
        last.result()


def test_top_shows_states_and_apps_of_a_live_run(live):
    code, text = command(live, "top", "--once")
    assert code == 0
    assert "launched 1" in text
    assert "failed 1" in text
    state = json.loads(command(live, "top", "--json")[1])
    assert state["states"] == {"waiting": 1, "launched": 1, "failed": 1}
    assert state["apps"]["after"] == {"waiting": 1}


def test_tasks_lists_and_filters_tasks_of_a_live_run(live):
    code, text = command(live, "tasks")
    assert code == 0
    assert [line.split()[:3] for line in text.splitlines()[1:]] == [
        ["0", "held", "launched"],
        ["1", "broken", "failed"],
        ["2", "after", "waiting"],
    ]
    assert "\x1b" not in text
    found = json.loads(command(live, "tasks", "--state", "failed,waiting", "--limit", "1", "--json")[1])
    assert ([task["id"] for task in found["tasks"]], found["next"]) == ([1], 1)
    code, text = command(live, "tasks", "--state", "faild")
    assert (code, "Did you mean 'failed'" in text) == (2, True)


def test_task_tells_why_it_waits(live):
    code, text = command(live, "task", "2")
    assert code == 0
    assert "why it has no result yet" in text
    assert "task 0 (held)" in text
    assert "has no task 99" in command(live, "task", "99")[1]


def test_run_that_has_ended_without_monitoring_says_what_to_do(tmp_path):
    with cnflow.load(Config(run_dir=str(tmp_path))):
        pass
    for name in ("top", "tasks"):
        code, text = command(tmp_path, name)
        assert (code, "Config(monitoring=True)" in text) == (2, True)


def test_logs_are_json_lines_with_ids_and_bounds(tmp_path):
    settings = LogFiles(format="json", level="DEBUG", task_size="20kB")
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path), logs=settings)
    with cnflow.load(config) as dfk:
        say("hello").result()
        flood().result()
        folder = Path(dfk.run_dir)
    for name in ("htex/block-0.log", "htex/interchange.log", "cnflow.jsonl"):
        assert all(json.loads(line)["timestamp"] for line in (folder / name).read_text().splitlines()), name
    assert "say[0] | hello" in command(tmp_path, "logs", "0")[1]
    line = json.loads(command(tmp_path, "logs", "0", "--json")[1])
    assert (line["task"], line["app"], line["worker"], line["block"], line["message"]) == (0, "say", 0, "0", "hello")
    logs = list((folder / "task_logs").rglob("*.stdout*"))
    assert sum(log.stat().st_size for log in logs) <= 20_000
