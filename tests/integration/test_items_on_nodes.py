"""Contents travel apart from tasks: to the node's area before a task begins, and from it once it has left them."""

import os
import time
import uuid
from pathlib import Path

import pytest

from cnflow.config import HighThroughputExecutor
from cnflow.executors.high_throughput import make_backend
from cnflow.ids import RunId
from cnflow.interfaces import RunContext
from cnflow.model.item import ItemForm, note
from cnflow.tasks.area import make_partial_folder, root_of_worker
from cnflow.testing.task_driver import TaskDriver
from cnflow.wire.blob_digest import digest_of

CONTENT = os.urandom(3 * 2**20 + 5)


class Needing:
    """Argument that refers to an item."""

    def __init__(self, item):
        self.item = item

    def __reduce__(self):
        note(self.item)
        return Needing, (self.item,)


def read(needing):
    from cnflow.tasks.area import locate

    return Path(locate(needing.item.key)).read_bytes()


def size_of(needing):
    return len(read(needing))


def leave(content, name):
    from cnflow.tasks.inside import leave_item

    path = Path(make_partial_folder(root_of_worker())) / f"left-{os.getpid()}-{name.replace('/', '-')}"
    path.write_bytes(content)
    leave_item(digest_of(content), len(content), ItemForm.FILE, name, str(path))


def leave_and_fail(content, name):
    leave(content, name)
    raise ValueError("it failed")


@pytest.fixture
def offered(one_process, tmp_path):
    """Function that offers bytes as a file and returns the item."""

    def offer(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return one_process.executor.items.offer_file(str(path), ItemForm.FILE).result(30)

    return offer


def test_task_finds_the_content_of_its_item_on_its_node(one_process, offered):
    needing = Needing(offered(CONTENT))
    assert one_process.outcome(one_process.python(size_of, needing)).value == len(CONTENT)
    assert one_process.outcome(one_process.python(read, Needing(offered(b"", "empty")))).value == b""


def test_left_item_is_fetched_from_its_node_and_needed_there_without_a_transfer(one_process, tmp_path):
    outcome = one_process.outcome(one_process.python(leave, CONTENT, "outputs/0"))
    (item,) = outcome.items
    assert (item.name, item.size, item.key) == ("outputs/0", len(CONTENT), digest_of(CONTENT))
    path = one_process.executor.items.fetch(item, str(tmp_path / "there")).result(30)
    assert Path(path).read_bytes() == CONTENT
    assert one_process.outcome(one_process.python(size_of, Needing(item))).value == len(CONTENT)


def test_task_whose_item_was_released_by_all_is_lost_with_words(one_process):
    (item,) = one_process.outcome(one_process.python(leave, b"short", "value")).items
    one_process.executor.items.release(item)
    time.sleep(0.2)
    error = one_process.outcome(one_process.python(size_of, Needing(item))).error
    assert "lost" in str(error)


def test_failed_task_leaves_its_output(one_process):
    outcome = one_process.outcome(one_process.python(leave_and_fail, b"words", "stderr"))
    assert ([item.name for item in outcome.items], str(outcome.error)) == (["stderr"], "it failed")


def test_area_is_in_the_working_folder_and_goes_with_its_last_manager(tmp_path):
    executor = make_backend(
        HighThroughputExecutor(max_workers=1, working_dir=str(tmp_path)),
        RunContext(RunId(f"test-{uuid.uuid4().hex[:12]}"), tmp_path / "run"),
    )
    try:
        driver = TaskDriver(executor, patience=30)
        outcome = driver.outcome(driver.python(leave, CONTENT, "value"))
        (area,) = tmp_path.glob("cnflow-area-*")
        assert (area / "objects" / outcome.items[0].key.hex()).is_file()
    finally:
        executor.shutdown()
    assert list(tmp_path.glob("cnflow-area-*")) == []
