"""States of tasks whose files are moved: by the task itself, on a node and in a thread of the driver."""

import json
import threading
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, File, python_app
from cnflow.config import ExistingPool, HighThroughputExecutor, JsonLinesSink, LocalProvider, ThreadPoolExecutor
from cnflow.model.task import TaskState
from cnflow.staging import BuiltInStaging, HTTPInTaskStaging, NoOpFileStaging
from tests.standing_pool import StandingPool

STAGINGS = [HTTPInTaskStaging(tries=1), NoOpFileStaging()]


def executor(kind, pool=None):
    if kind == "threads":
        return ThreadPoolExecutor(storage_access=STAGINGS)
    provider = LocalProvider() if pool is None else ExistingPool(pool.address, key=pool.key("ann"))
    return HighThroughputExecutor(provider=provider, storage_access=STAGINGS)


@pytest.fixture
def pool(request, tmp_path):
    """A standing pool for the kind ``pool``; else None."""
    if request.getfixturevalue("kind") != "pool":
        yield None
        return
    with StandingPool(tmp_path) as pool:
        yield pool


def drip(until, size):
    """Function that writes the reply to a request: *size* bytes, one after the other, until *until* is set."""

    def reply(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        for _ in range(size):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            until.wait(0.05)

    return reply


@python_app
def hold(file, go):
    import time

    size = Path(file.filepath).stat().st_size
    while not Path(go).exists():
        time.sleep(0.01)
    return size


@pytest.mark.parametrize("kind", ["threads", "node", "pool"])
def test_task_is_staging_in_and_then_running(kind, pool, web, tmp_path, until):
    end = threading.Event()
    web.add("/x.bin", b"")
    web.troubles["/x.bin"] = [drip(end, 4000)]
    config = Config(executors=[executor(kind, pool)], run_dir=str(tmp_path / "runs"), sinks=[JsonLinesSink()])
    with cnflow.load(config) as run:
        task = hold(File(web.url.replace("//", "//ann:secret@") + "/x.bin"), str(tmp_path / "go"))
        until(lambda: task.task_status() == "staging_in")
        assert run.task_counts()[TaskState.STAGING_IN] == 1
        until(lambda: " a second" in run.explain(0))
        assert "brings http://***@127.0.0.1" in run.explain(0)
        end.set()
        until(lambda: task.task_status() == "running")
        assert "after its files were brought" in run.explain(0)
        (tmp_path / "go").touch()
        assert task.result(20) == 4000
        assert task.task_status() == "done"
    (found,) = (tmp_path / "runs").rglob("events.jsonl")
    events = [json.loads(line) for line in found.read_text().splitlines()]
    assert [event["state"] for event in events if event["kind"] == "task"] == [
        "launched", "staging_in", "running", "done"
    ]  # fmt: skip
    assert "secret" not in json.dumps(events)


@pytest.mark.parametrize(("retries", "budget", "is_done"), [(0, 1, True), (3, 0, False), (1, None, True)])
def test_file_that_cannot_be_moved_has_a_budget_of_its_own(retries, budget, is_done, web, tmp_path):
    web.add("/x.bin", b"12345")
    web.troubles["/x.bin"] = [503]
    (tmp_path / "go").touch()
    config = Config(executors=[executor("threads")], run_dir=str(tmp_path), retries=retries, staging_retries=budget)
    with cnflow.load(config):
        task = hold(File(web.url + "/x.bin"), str(tmp_path / "go"))
        error = task.exception(20)
        assert (error is None) == is_done
        if error is not None:
            assert (error.url, error.step, error.tries) == (web.url + "/x.bin", "stage in", 1)
    assert len(web.asked) == 1 + is_done


def test_refusal_is_not_tried_again(web, tmp_path):
    with cnflow.load(Config(executors=[executor("threads")], run_dir=str(tmp_path), staging_retries=3)):
        task = hold(File(web.url + "/nowhere"), "")
        assert task.exception(20).is_final
    assert web.asked == ["/nowhere"]


@python_app
def copy(source, outputs=()):
    import shutil

    shutil.copyfile(source.filepath, outputs[0].filepath)


def test_files_over_the_connection_of_the_tasks_are_a_part_of_the_state(tmp_path):
    (tmp_path / "in.bin").write_bytes(b"x" * 4_000_000)
    node = HighThroughputExecutor(provider=LocalProvider(), max_workers_per_node=1, storage_access=[BuiltInStaging()])
    with cnflow.load(Config(executors=[node], run_dir=str(tmp_path / "runs"), sinks=[JsonLinesSink()])):
        task = copy(File(tmp_path / "in.bin"), outputs=[File(tmp_path / "out.bin")])
        assert task.outputs[0].result(30) is not None
    (found,) = (tmp_path / "runs").rglob("events.jsonl")
    events = [json.loads(line) for line in found.read_text().splitlines()]
    states = [event["state"] for event in events if event["kind"] == "task"]
    in_driver = ["staging_in", "launched", "staging_out", "done"]
    noted_by_nodes = {"staging_in", "running"}  # where they are not too quick to be seen
    assert states[:2] == in_driver[:2]
    assert [state for state in states[2:] if state not in noted_by_nodes] == in_driver[2:]
