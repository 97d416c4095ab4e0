"""Events of a run reach its sinks: each kind, in order, from the process where it happened."""

import itertools
import json
import os
import signal
import time
from pathlib import Path

import pytest

import cnflow
import cnflow.config
from cnflow import Config, python_app
from cnflow.config import JsonLinesSink, ThreadPoolExecutor
from cnflow.executors import HighThroughputExecutor


@python_app
def square(number):
    return number * number


@python_app
def hold(seconds):
    time.sleep(seconds)
    return seconds


@python_app
def fail():
    raise ValueError("no luck")


@python_app
def kill_worker(folder):
    from pathlib import Path

    mark = Path(folder, "mark")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "again"


def events_of(run_dir):
    return [json.loads(line) for line in Path(run_dir, "events.jsonl").read_text("utf-8").splitlines()]


def states(events, kind, **values):
    found = [event for event in events if event["kind"] == kind]
    return [event["state"] for event in found if values.items() <= event.items()]


@pytest.mark.timeout(120)
def test_run_with_workers_shows_each_kind_of_event_in_order(tmp_path):
    executor = HighThroughputExecutor(max_workers=1)
    config = Config(executors=[executor], run_dir=str(tmp_path), retries=1, sinks=[JsonLinesSink()])
    begun = time.time()
    with cnflow.load(config) as dfk:
        first = square(3)
        second = square(first)
        assert second.result(60) == 81
        killed = kill_worker(str(tmp_path))
        assert killed.result(60) == "again"
        assert isinstance(fail().exception(60), ValueError)
        run_dir = dfk.run_dir
        last = hold(1.5)
        assert last.result(60) == 1.5
        wait_for(lambda: states(events_of(run_dir), "worker", state="running", task=last.tid))
    events = events_of(run_dir)
    assert all(begun - 1 < event["time"] < time.time() + 1 for event in events)
    assert {event["executor"] for event in events if event["kind"] not in {"run", "failure"}} == {"htex"}
    assert states(events, "task", task=first.tid) == ["launched", "done"]
    assert states(events, "task", task=second.tid) == ["launched", "done"]
    assert states(events, "task", task=killed.tid) == ["launched", "launched", "done"]
    (failed,) = [event for event in events if event.get("state") == "failed"]
    assert (failed["app"], failed["attempt"]) == ("fail", 1)
    assert "no luck" in failed["reason"]
    assert states(events, "block") == ["requested", "pending", "running", "ended"]
    (up,) = [event for event in events if event["kind"] == "manager" and event["state"] == "up"]
    (block,) = {event["block"] for event in events if event["kind"] == "block"}
    assert (up["block"], up["workers"]) == (block, 1)
    assert states(events, "manager") == ["up", "down"]
    workers = [event for event in events if event["kind"] == "worker"]
    assert {(event["block"], event["manager"], event["worker"]) for event in workers} == {(block, up["manager"], 0)}
    (running,) = [event for event in workers if event["state"] == "running" and event["task"] == last.tid]
    (done,) = [event for event in events if event.get("state") == "done" and event["task"] == last.tid]
    assert (done["worker"], done["manager"]) == (0, up["manager"])
    assert abs(running["time"] - done["started"]) < 0.5
    assert 1.5 <= done["ended"] - done["started"] < 5
    assert [state for state in states(events, "worker") if state != "running"] == ["ready", "exited", "ready"]
    lost, *tried = [event for event in events if event["kind"] == "failure"]
    assert (lost["task"], lost["attempt"], lost["signal"], lost["is_retried"]) == (killed.tid, 0, "SIGKILL", True)
    assert [(event["attempt"], event.get("is_retried", False)) for event in tried] == [(0, True), (1, False)]
    assert {event["error_type"] for event in tried} == {"ValueError"}
    assert all("in fail" in event["traceback"] for event in tried)
    assert (events[0]["kind"], events[0]["state"], events[-1]["kind"], events[-1]["state"]) == (
        *("run", "running"),
        *("run", "ended"),
    )
    counts = {name: events[-1][name] for name in ("tasks", "done", "failed", "cancelled")}
    assert counts == {"tasks": 5, "done": 4, "failed": 1, "cancelled": 0}
    (given,) = [event for event in events if event["kind"] == "submitted" and event["task"] == second.tid]
    assert (given["app"], given["depends"]) == ("square", [first.tid])
    (exited,) = [event for event in workers if event["state"] == "exited"]
    assert exited["reason"] == "exit code -9"


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.timeout(120)
def test_restart_of_the_interchange_is_an_event(tmp_path):
    config = Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=str(tmp_path), sinks=[JsonLinesSink()])
    with cnflow.load(config) as dfk:
        assert square(2).result(60) == 4
        children = [Path(task, "children").read_text().split() for task in Path("/proc/self/task").iterdir()]
        commands = {int(pid): Path("/proc", pid, "cmdline").read_text() for pid in itertools.chain(*children)}
        (interchange,) = [pid for pid, command in commands.items() if "cnflow.interchange" in command]
        os.kill(interchange, signal.SIGKILL)
        wait_for(lambda: states(events_of(dfk.run_dir), "interchange") == ["restarted"])
        assert square(3).result(60) == 9


class Broken:
    """Sink that fails, and takes its time."""

    def __init__(self, settings, run_dir):
        self.is_closed = False

    def write(self, events):
        raise RuntimeError("the disk is full")

    def close(self):
        raise RuntimeError("the disk is still full")


class BrokenSink(cnflow.config.SinkSettings):
    backend = Broken
    kind: str = "broken"


def test_sink_that_fails_is_logged_and_fails_no_task(tmp_path, caplog):
    config = Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path), sinks=[BrokenSink(), JsonLinesSink()])
    with cnflow.load(config) as dfk:
        assert square(3).result(20) == 9
    assert "Broken lost" in caplog.text
    assert "Broken cannot be closed" in caplog.text
    assert states(events_of(dfk.run_dir), "task") == ["launched", "done"]


def test_call_that_raises_has_an_end(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    config = Config(executors=[ThreadPoolExecutor()], run_dir=str(tmp_path), sinks=[JsonLinesSink()])
    with cnflow.load(config) as dfk:
        first = square(3)
        with monkeypatch.context() as patch:
            patch.setattr("cnflow.dataflow.loop.id_of_dependency", interrupt)
            with pytest.raises(KeyboardInterrupt):
                square(first)
        assert square(4).result(20) == 16
    assert states(events_of(dfk.run_dir), "task", task=1) == ["cancelled"]
