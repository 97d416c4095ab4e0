"""Results on their way to their report: large parts, items with and without a place, lost managers, cancelled tasks."""

import threading

import pytest

from cnflow.errors import ItemLostError, ManagerLost, StagingError
from cnflow.executors.high_throughput.arriving_results import ArrivingResults
from cnflow.executors.high_throughput.bulk_line import BulkLine
from cnflow.executors.high_throughput.held_tasks import HeldTask
from cnflow.model.item import Item
from cnflow.model.task import Outcome
from cnflow.wire import serialization
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import Chunk, Gone, Offer, Want, decode_bulk
from cnflow.wire.messages import Result
from cnflow.wire.pipe import ResultKind

MANAGER = b"manager"


class World:
    """Driver's end of a line, and what is reported."""

    def __init__(self):
        self.places = {}
        self.released, self.reported, self.has_report = [], [], threading.Event()
        self.bulk = BulkLine(self.released.append, lambda: 0.0)
        self.arriving = ArrivingResults(self.bulk, self, self)
        self.held = {}

    # Owner of the tasks

    def title(self, task):
        return f"Task {task} (f)"

    def outcome_of_lost(self, task, where, reason):
        return Outcome(task, None, ManagerLost(f"{self.title(task)} was on {where}: {reason}."))

    def report_held(self, outcomes):
        self.reported += outcomes
        self.has_report.set()

    # What happens

    def hold(self, task, **places):
        self.held[task] = HeldTask(None, 0, None, {name.replace("_", "/"): path for name, path in places.items()})

    def end(self, task, *items, value=7, kind=ResultKind.VALUE, body=None, blobs=(), ours=True):
        body = serialization.dump(value).body if body is None else body
        parcel = Result(task, kind, body, blobs=blobs, items=items), ()
        self.arriving.on_results([parcel], [parcel] if ours else [], self.held)

    def item(self, data, number=0, name="value"):
        return Item(digest_of(data) + number.to_bytes(8, "big"), len(data), 0, MANAGER, name)

    def bring(self, item, data):
        assert decode_bulk(self.bulk.next_message()[0]) == Want(item.id, MANAGER, 0, len(data))
        self.arriving.report(self.bulk.on_message(Chunk(item.id, MANAGER, 0), [data]), self.held)
        assert self.has_report.wait(20)

    def released_blobs(self):
        return sorted(blob for release in self.released for blob in release.blobs)


@pytest.fixture
def world():
    made = World()
    yield made
    made.bulk.items.close("the run")


def test_item_with_a_place_is_there_before_the_report_and_another_one_stays(world, tmp_path):
    out, value = world.item(b"out", 0, "outputs/0"), world.item(b"value", 1)
    world.hold(1, outputs_0=str(tmp_path / "out"))
    world.end(1, out, value)
    assert world.arriving.is_arriving(1)
    assert world.arriving.explain(1) == [
        f"has run; what it has left travels to the driver: outputs/0 to {tmp_path}/out (0.0 of 0.0 MB)."
    ]
    assert not world.reported
    world.bring(out, b"out")
    assert [(outcome.value, outcome.items) for outcome in world.reported] == [(7, (value,))]
    assert (tmp_path / "out").read_bytes() == b"out"
    assert world.released_blobs() == [out.id]
    assert not world.arriving.explain(1)


@pytest.mark.parametrize("end", ["lost", "gone"])
def test_task_whose_output_is_lost_with_its_manager_is_lost_too(world, tmp_path, end):
    world.hold(1, outputs_0=str(tmp_path / "out"))
    item = world.item(b"out", 0, "outputs/0")
    world.end(1, item)
    if end == "lost":
        assert world.arriving.on_manager_lost(MANAGER, "silent for 6 s") == []
    else:
        world.bulk.on_message(Gone(item.id, MANAGER, "its disk has failed"), [])
    (outcome,) = world.reported
    assert isinstance(outcome.error, ManagerLost)
    assert "an output did not arrive" in str(outcome.error)


def test_output_that_cannot_be_written_fails_its_task_and_the_tasks_own_error_goes_first(world):
    for task, kind, body in ((1, ResultKind.VALUE, None), (2, ResultKind.UNPICKLABLE, b"a lock")):
        world.has_report.clear()
        world.hold(task, outputs_0="/dev/full")
        item = world.item(b"out", task, "outputs/0")
        world.end(task, item, kind=kind, body=body)
        world.bring(item, b"out")
    first, second = world.reported
    assert isinstance(first.error, StagingError)
    assert "a lock" in str(second.error)


def test_items_of_results_that_nobody_waits_for_are_released(world):
    world.end(1, world.item(b"late"), ours=False)
    world.end(2, world.item(b"reported before", 1))
    offer = (Offer(b"blob", 100, 0, MANAGER),)
    for task in (3, 4):
        world.hold(task)
    world.end(3, world.item(b"cancelled", 2), blobs=offer)
    assert world.arriving.cancel([3]) == [3]
    world.bulk.set_largest_result(10)
    world.end(4, world.item(b"too large", 3), blobs=offer)
    ids = [world.item(data, n).id for n, data in enumerate((b"late", b"reported before", b"cancelled", b"too large"))]
    assert world.released_blobs() == sorted([*ids, b"blob", b"blob"])


def test_lost_item_names_its_key_and_a_changed_file_its_path(world, tmp_path):
    (tmp_path / "in").write_bytes(b"content")
    item = world.bulk.items.offer_file(str(tmp_path / "in")).result(20)
    for task in (1, 2):
        world.hold(task)
        world.end(task, kind=ResultKind.ITEM_LOST, body=item.key + b"nobody has it")
        content = world.bulk.items._known.content(item.id)
        world.bulk.items._on_flaw(item.id, content, f"{tmp_path}/in was changed")
    first, second = (outcome.error for outcome in world.reported)
    assert isinstance(first, ItemLostError)
    assert first.key == item.key
    assert "Task 1 (f) could not be started: nobody has it" in str(first)
    assert type(second) is StagingError
    assert f"{tmp_path}/in was changed" in str(second)
