"""The interchange is killed while contents pass through it: from the driver to a node, and back."""

import contextlib
import os
import signal
import uuid
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor, LocalProvider
from cnflow.executors.high_throughput import make_backend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.model.item import ItemForm
from cnflow.testing.task_driver import TaskDriver
from cnflow.wire.blob_digest import digest_of
from tests.integration.test_items_on_nodes import Needing, leave, read
from tests.processes import children_of
from tests.waiting import wait_until

CONTENT = os.urandom(2**20) * 64
"""Takes a few tenths of a second, all over the connection: nodes and driver share no memory for it."""


def digest_in_task(needing):
    return digest_of(read(needing))


@pytest.fixture
def driver(tmp_path):
    provider = LocalProvider(init_blocks=1, max_blocks=1, worker_init=f"export TMPDIR=$(mktemp -d -p {tmp_path})")
    backend = make_backend(
        HighThroughputExecutor(max_workers=1, provider=provider, address="127.0.0.1"),
        RunContext(RunId(f"test-{uuid.uuid4().hex[:12]}"), tmp_path / "run"),
    )
    try:
        yield TaskDriver(backend, patience=40)
    finally:
        backend.shutdown()


def kill_interchange():
    (victim,) = interchanges()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in interchanges())


def interchanges():
    """Those of this process that live."""
    found = []
    for pid in children_of(os.getpid()):
        with contextlib.suppress(FileNotFoundError):
            if b"cnflow.interchange" in Path(f"/proc/{pid}/cmdline").read_bytes():  # empty of one that has ended
                found.append(pid)
    return found


def arriving(folder, least=2**20):
    """Files of the folder, or below it, that have begun to arrive and are not whole."""
    sizes = []
    for path in Path(folder).rglob("partial/*"):
        try:
            sizes.append(path.stat().st_blocks * 512)
        except FileNotFoundError:
            continue
    return any(least <= size < len(CONTENT) for size in sizes)


def test_killed_interchange_costs_no_item_on_its_way(driver, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(CONTENT)
    driver.outcome(driver.python(os.getpid))  # the node is there
    item = driver.executor.items.offer_file(str(path), ItemForm.FILE).result(30)
    task = driver.python(digest_in_task, Needing(item))
    wait_until(lambda: arriving(tmp_path) or driver.is_reported(task), period=0.002)
    assert not driver.is_reported(task)
    kill_interchange()
    assert driver.value(task) == item.key
    (left,) = driver.outcome(driver.python(leave, CONTENT[1:], "value")).items
    fetched = driver.executor.items.fetch(left, str(tmp_path / "output"))
    kill_interchange()
    assert Path(fetched.result(40)).read_bytes() == CONTENT[1:]
    assert driver.reported_twice == []
