"""What tasks of a node leave is kept and served until it is released, or in the way for long and wanted by nobody."""

import math
import select
from pathlib import Path

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.items.node_items import NodeItems
from cnflow.manager.node.area import NodeArea
from cnflow.model.item import Item
from cnflow.tasks.area import make_partial_folder, object_path
from cnflow.tasks.inside import CHANGED
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.messages import NO_FRAMES, Result, Task
from cnflow.wire.pipe import Record, ResultKind

ME = ManagerId(b"me")
CONTENT = b"content of an output"
KEY = digest_of(CONTENT)


@pytest.fixture
def area(tmp_path, monkeypatch):
    monkeypatch.setattr("cnflow.manager.node.area._MEMORY", str(tmp_path / "none"))
    made = NodeArea(ME, str(tmp_path))
    yield made
    made.leave()


@pytest.fixture
def items(area):
    made = NodeItems(area, ME, 10.0)
    yield made
    made.close()


def announce(items, area, task=7, name="outputs/0"):
    path = Path(make_partial_folder(area.root), f"left-{task}")
    path.write_bytes(CONTENT)
    parts = [KEY, b"%d" % len(CONTENT), b"0", name.encode(), str(path).encode()]
    end = Record(ResultKind.VALUE, task, 0.0, [])
    assert items.left.on_records([Record(ResultKind.ITEM, task, 0.0, parts), end]) == [end]
    return path


def end(items, kind=ResultKind.VALUE, task=7):
    return items.attach((Result(task, kind, b""), NO_FRAMES), 100.0)[0].items


def reply_to(items, want):
    replies = []
    if not items.on_want(want, 105.0, lambda *reply: replies.append(reply)):
        return None
    while not replies:
        assert select.select([items.source], [], [], 10)[0]
        items.follow_files()
    return replies[0]


def test_output_is_named_in_the_result_and_served_until_it_is_released(items, area):
    announce(items, area)
    (item,) = end(items)
    assert (item.key, item.size, item.source, item.name) == (KEY, len(CONTENT), ME, "outputs/0")
    assert items.kept == [item.id]
    assert reply_to(items, Want(item.id, ME, 3, 5)) == (Chunk(item.id, ME, 3), CONTENT[3:8])
    assert isinstance(reply_to(items, Want(item.id, ME, 15, 50))[0], Gone)
    items.release([item.id, b"a part", item.id])
    assert not items.keeps
    assert reply_to(items, Want(item.id, ME, 0, 5)) is None


def test_output_of_a_lost_worker_is_removed_and_those_of_a_failed_task_are_kept(items, area):
    path = announce(items, area)
    assert end(items, ResultKind.WORKER_LOST) == ()
    announce(items, area, 8, "stderr")
    assert [item.name for item in end(items, ResultKind.RAISED, 8)] == ["stderr"]
    items.carry_out_orders()
    items.close()
    assert not path.exists()
    items.close = lambda: None


def test_kept_output_goes_if_only_it_keeps_the_manager_and_nobody_wants_it(items, area):
    announce(items, area)
    (item,) = end(items)
    assert items.next_deadline == math.inf
    items.is_last = True
    assert items.next_deadline == 110.0
    reply_to(items, Want(item.id, ME, 0, 5))
    assert items.take_unwanted(114.0) == []
    assert items.take_unwanted(115.0) == [item.id]
    assert (items.keeps, items.next_deadline) == (False, math.inf)


def test_input_that_a_task_has_changed_is_removed(items, area):
    announce(items, area)
    end(items)
    reply_to(items, Want(items.kept[0], ME, 0, 5))
    announce(items, area, 8, CHANGED)
    assert end(items, task=8) == ()
    items.carry_out_orders()
    assert isinstance(reply_to(items, Want(items.kept[0], ME, 0, 5))[0], Gone)
    assert not Path(object_path(area.root, KEY)).exists()


def test_output_with_the_bytes_of_an_input_is_kept_though_the_input_is_released(items, area):
    needed = Item(KEY + b"driver-1", len(CONTENT))
    announce(items, area, task=1)
    end(items, task=1)
    assert items.tasks.hold((Task(7, b"f", b"", items=(needed,)), ())) is None
    assert select.select([items.source], [], [], 10)[0]
    items.follow_files()
    items.tasks.settle()
    assert len(items.tasks.take_complete()) == 1
    items.release([*items.kept])
    announce(items, area)
    items.tasks.release([(7, 0)])
    (left,) = end(items)
    items.carry_out_orders()
    assert reply_to(items, Want(left.id, ME, 0, 5))
    assert [path.name for path in Path(area.root, "pins").rglob(KEY.hex())] == [KEY.hex()]
