"""First and last event of a run: without secrets, with the driver's own counts."""

import json

from cnflow import Config
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.dataflow.run_events import end_event, run_event, script_of
from cnflow.model.task import TaskState


def test_settings_are_those_that_were_set_without_secrets(tmp_path):
    provider = DockerProvider(environment={"TOKEN": "xyzzy"})
    config = Config(executors=[HighThroughputExecutor(label="a", provider=provider)], run_dir=str(tmp_path))
    event = run_event(config, tmp_path / "000", "r1")
    found = json.loads(event.config)
    assert found["executors"][0]["label"] == "a"
    assert "retries" not in found
    assert "xyzzy" not in event.config
    assert (event.run, event.state, event.folder) == ("r1", "running", str(tmp_path / "000"))
    assert event.host
    assert event.user


def test_end_has_the_counts_of_the_driver(tmp_path):
    counts = {TaskState.DONE: 3, TaskState.FAILED: 1, TaskState.DEPENDENCY_FAILED: 2, TaskState.CANCELLED: 4}
    begun = run_event(Config(run_dir=str(tmp_path)), tmp_path, "r1")
    ended = end_event(begun, counts)
    assert (ended.state, ended.tasks, ended.done, ended.failed, ended.cancelled) == ("ended", 10, 3, 3, 4)
    assert (ended.run, ended.config) == ("r1", "")
    assert ended.time >= begun.time


def test_script_is_a_path_or_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert script_of(["a.py"]) == str(tmp_path / "a.py")
    assert [script_of([]), script_of([""]), script_of(["-c"])] == ["", "", ""]
