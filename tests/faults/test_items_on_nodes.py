"""Nodes that die, or whose disk is full, while contents travel: tasks fail with words, and nothing is left."""

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.executors.high_throughput import make_backend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.model.item import ItemForm
from cnflow.testing.task_driver import TaskDriver
from tests.integration.test_items_between_nodes import two_nodes
from tests.integration.test_items_on_nodes import Needing, leave, size_of
from tests.waiting import wait_until

__all__ = ["two_nodes"]

MIB = 2**20


def slow(needing, seconds):
    time.sleep(seconds)
    return size_of(needing)


def parent():
    return os.getppid()


def leave_and_die():
    leave(b"never announced", "value")
    os.kill(os.getpid(), signal.SIGKILL)


def test_item_that_died_with_its_node_is_lost_with_its_key(two_nodes, tmp_path):
    (item,) = two_nodes.outcome(two_nodes.python(leave, os.urandom(64 * MIB), "value")).items
    (owner,) = wait_until(
        lambda: [path for path in tmp_path.glob("tmp*/cnflow-area-*") if (path / "objects" / item.key.hex()).exists()]
    )
    managers = {two_nodes.outcome(task).value for task in [two_nodes.python(parent) for _ in range(12)]}
    for manager in managers:
        environment = Path(f"/proc/{manager}/environ").read_bytes()
        if str(owner.parent).encode() in environment:
            os.kill(manager, signal.SIGKILL)
    errors = [str(two_nodes.outcome(two_nodes.python(size_of, Needing(item))).error) for _ in range(2)]
    assert "lost" in errors[1], errors  # the first one may have been sent to the dying manager
    assert two_nodes.outcome(two_nodes.python(parent)).error is None


@pytest.fixture
def small_node(tmp_path):
    """Driver of a node with a disk of 12 MiB for the files of its tasks."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "cnflow-test", str(folder)], check=True)
    executor = make_backend(
        HighThroughputExecutor(max_workers=1, provider=LocalProvider(worker_init=f"export TMPDIR={folder}")),
        RunContext(RunId(f"test-{uuid.uuid4().hex[:12]}"), tmp_path / "run"),
    )
    try:
        yield TaskDriver(executor, patience=30)
    finally:
        executor.shutdown()
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
def test_full_disk_of_a_node_fails_the_task_in_words_and_others_go_on(small_node, tmp_path):
    def needing(size):
        path = tmp_path / f"of-{size}"
        path.write_bytes(os.urandom(size))
        return Needing(small_node.executor.items.offer_file(str(path), ItemForm.FILE).result(30))

    error = small_node.outcome(small_node.python(size_of, needing(16 * MIB))).error
    assert "has no room for its 16,777,216 bytes" in str(error)
    assert "working_dir" in str(error)
    assert small_node.outcome(small_node.python(size_of, needing(4 * MIB))).value == 4 * MIB


def test_item_of_a_worker_that_dies_is_no_item_of_its_task(two_nodes):
    outcome = two_nodes.outcome(two_nodes.python(leave_and_die))
    assert outcome.error is not None
    assert outcome.items == ()
