"""Items in the driver: offered once each, sent and fetched in pieces, whole or not at all at their paths."""

import os
import threading
from types import SimpleNamespace

import pytest

from cnflow.errors import ExecutorClosedError, ItemLostError, StagingError
from cnflow.executors.high_throughput.items import offered_files
from cnflow.executors.high_throughput.items.driver_items import DriverItems
from cnflow.executors.high_throughput.items.results_in_place import ResultsInPlace
from cnflow.model.item import Item, ItemForm
from cnflow.wire.blob_digest import digest_of
from cnflow.wire.bulk import Chunk, Gone, Want, decode_bulk

MANAGER = b"manager"


class Line:
    """Driver's items, and the messages that pass; nodes have what is in `left`."""

    def __init__(self):
        self.released, self.woken, self.left = [], threading.Semaphore(0), {}
        self.items = DriverItems("htex", self.released.append, self.woken.release, lambda: 0.0)

    def leave(self, data, number=0, name="", form=ItemForm.FILE):
        item = Item(digest_of(data) + number.to_bytes(8, "big"), len(data), form, MANAGER, name)
        self.left[item.id] = data
        return item

    def serve(self, most=1000):
        """Answer what the driver wants of nodes; return the number of answers."""
        for number in range(most):
            frames = self.items.next_message()
            if not frames:
                return number
            want = decode_bulk(frames[0])
            data = self.left[want.blob][want.offset : want.offset + want.length]
            self.items.on_chunk(Chunk(want.blob, want.source, want.offset), data)
        return most

    def release(self, item):
        self.items.release(item)
        assert not self.items.next_message()

    def read(self, item):
        """Fetch an item of the driver as an interchange does; return its bytes, or the reason why it is gone."""
        data = b""
        while len(data) < item.size:
            assert self.items.on_want(Want(item.id, b"", len(data), min(2**20, item.size - len(data))))
            while not (frames := self.items.next_message()):
                assert self.woken.acquire(timeout=20)
            message = decode_bulk(frames[0])
            if isinstance(message, Gone):
                return message.reason
            data += bytes(frames[1])
        return data


@pytest.fixture
def line():
    made = Line()
    yield made
    made.items.close("the run")


def test_file_is_offered_once_under_one_id_and_sent_in_pieces(line, tmp_path):
    data = os.urandom(2_500_000)
    (tmp_path / "a").write_bytes(data)
    first, second = (line.items.offer_file(str(tmp_path / "a")).result(20) for _ in range(2))
    assert first == second == (first.id, len(data), ItemForm.FILE, b"", "")
    assert first.key == digest_of(data)
    assert line.read(first) == data
    line.release(first)
    assert not line.released
    line.release(first)
    assert [(release.source, release.blobs) for release in line.released] == [(b"", [first.id])]
    assert not line.items.on_want(Want(first.id, b"", 0, 10))


def test_content_that_comes_back_after_its_release_has_another_id(line, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    first = line.items.offer_file(str(tmp_path / "a")).result(20)
    line.release(first)
    second = line.items.offer_file(str(tmp_path / "a")).result(20)
    assert first.key == second.key
    assert first.id != second.id


def test_file_that_changes_after_its_offer_is_gone_with_words(line, tmp_path):
    (tmp_path / "a").write_bytes(bytes(100))
    item = line.items.offer_file(str(tmp_path / "a")).result(20)
    (tmp_path / "a").write_bytes(bytes(101))
    assert "was changed after it was passed to a task" in line.read(item)
    assert "was changed" in line.items.flaw_of_offered(item.key)
    assert "was changed" in line.read(item)
    again = line.items.offer_file(str(tmp_path / "a")).result(20)
    assert line.read(again) == bytes(101)


def test_file_of_an_item_that_is_released_is_not_kept_open(line, tmp_path):
    (tmp_path / "a").write_bytes(os.urandom(2_500_000))
    item = line.items.offer_file(str(tmp_path / "a")).result(20)
    line.read(item)
    reader = line.items._reader
    assert len(reader._open) == 1
    line.release(item)
    (tmp_path / "b").write_bytes(b"small")
    line.read(line.items.offer_file(str(tmp_path / "b")).result(20))
    assert not reader._open


def test_file_is_read_at_another_path_where_its_bytes_were_offered_too(line, tmp_path):
    data = os.urandom(2_500_000)
    names = [tmp_path / name for name in "abc"]
    for name in names:
        name.write_bytes(data)
    items = [line.items.offer_file(str(name)).result(20) for name in names]
    assert len(set(items)) == 1
    names[0].unlink()
    names[2].write_bytes(b"other")
    assert line.read(items[0]) == data
    names[1].write_bytes(b"another")
    assert "b was changed after" in line.read(items[0])
    assert "b was changed after" in line.items.flaw_of_offered(items[0].key)


def test_file_that_is_written_in_place_under_its_old_times_is_read_again(line, tmp_path, monkeypatch):
    monkeypatch.setattr(offered_files, "_CLOCK_TICK_NS", -1)  # its key is remembered at once
    file = tmp_path / "a"
    file.write_bytes(b"first.")
    os.utime(file, (1, 1))
    first, before = line.items.offer_file(str(file)).result(20), file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == before:  # within one tick of the clock
        file.write_bytes(b"second")
        os.utime(file, (1, 1))
    assert line.items.offer_file(str(file)).result(20).key == digest_of(b"second") != first.key


def test_folder_and_pattern_are_packed_and_arrive_as_they_are(line, tmp_path):
    line.items.pack_in(tmp_path / "run")
    (tmp_path / "from/sub").mkdir(parents=True)
    (tmp_path / "from/a.txt").write_text("a")
    (tmp_path / "from/sub/b.csv").write_text("b")
    for source, number in ((tmp_path / "from", 2), (tmp_path / "from/*.txt", 1)):
        item = line.items.offer_file(str(source), ItemForm.TREE).result(20)
        left = line.leave(line.read(item), number, form=ItemForm.TREE)
        future = line.items.fetch(left, str(tmp_path / f"to{number}"))
        line.serve()
        future.result(20)
        assert len([path for path in (tmp_path / f"to{number}").rglob("*") if path.is_file()]) == number
        (packed,) = line.items._known.packed_files()
        assert packed.startswith(f"{tmp_path}/run/")
        line.release(item)
        assert not os.path.exists(packed)  # noqa: PTH110 - a name, not a path of the test
    with pytest.raises(StagingError, match="no file matches"):
        line.items.offer_file(str(tmp_path / "*.absent"), ItemForm.TREE).result(20)


def test_what_is_no_regular_file_is_refused_in_words(line, tmp_path):
    with pytest.raises(StagingError, match="is a folder"):
        line.items.offer_file(str(tmp_path)).result(20)
    with pytest.raises(StagingError, match="content and no size"):
        line.items.offer_file("/proc/self/status").result(20)
    with pytest.raises(StagingError, match="No such file"):
        line.items.offer_file(str(tmp_path / "absent")).result(20)


def test_value_is_sent_from_its_pieces(line):
    pieces = [memoryview(os.urandom(size)) for size in (10, 0, 1_500_000, 7)]
    item = line.items.offer_value(pieces)
    assert item.form == ItemForm.VALUE
    assert line.read(item) == b"".join(pieces)


def test_item_is_fetched_to_its_path_and_nothing_else_is_left_there(line, tmp_path):
    item = line.leave(os.urandom(3_000_000))
    future = line.items.fetch(item, str(tmp_path / "folder" / "out"))
    line.serve()
    assert future.result(20) == str(tmp_path / "folder" / "out")
    assert (tmp_path / "folder" / "out").read_bytes() == line.left[item.id]
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["out"]


def test_empty_item_is_fetched_without_a_message(line, tmp_path):
    assert line.items.fetch(line.leave(b""), str(tmp_path / "out")).result(20)
    assert (tmp_path / "out").read_bytes() == b""


def test_own_item_is_copied(line, tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    item = line.items.offer_file(str(tmp_path / "a")).result(20)
    line.items.fetch(item, str(tmp_path / "b")).result(20)
    line.items.fetch(line.items.offer_value([memoryview(b"va"), memoryview(b"lue")]), str(tmp_path / "c")).result(20)
    assert ((tmp_path / "b").read_bytes(), (tmp_path / "c").read_bytes()) == (b"content", b"value")


def test_damaged_item_and_one_without_room_leave_nothing(line, tmp_path):
    item = line.leave(b"content")
    line.left[item.id] = b"CONTENT"
    damaged = line.items.fetch(item, str(tmp_path / "out"))
    line.serve()
    with pytest.raises(StagingError, match="damaged on the way"):
        damaged.result(20)
    full = line.items.fetch(line.leave(b"other", 1), "/dev/full")
    line.serve()
    with pytest.raises(StagingError, match="/dev/full is no regular file"):
        full.result(20)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("end", ["gone", "lost"])
def test_item_that_nobody_has_any_more_fails_its_fetches(line, tmp_path, end):
    item = line.leave(bytes(3_000_000))
    future = line.items.fetch(item, str(tmp_path / "out"))
    line.serve(1)
    if end == "gone":
        line.items.on_gone(Gone(item.id, MANAGER, "evicted"))
    else:
        line.items.on_manager_lost(MANAGER, "evicted")
    with pytest.raises(ItemLostError, match="evicted") as raised:
        future.result(20)
    assert raised.value.key == item.key
    line.items.close("the run")
    assert list(tmp_path.iterdir()) == []


def test_two_fetches_of_one_item_come_one_after_the_other(line, tmp_path):
    item = line.leave(b"content")
    futures = [line.items.fetch(item, str(tmp_path / name)) for name in "ab"]
    for future in futures:
        line.serve()
        future.result(20)
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"content"] * 2


def test_end_of_the_run_ends_fetches_and_offers(line, tmp_path):
    future = line.items.fetch(line.leave(bytes(10)), str(tmp_path / "out"))
    line.items.close("the run")
    for ended in (future, line.items.fetch(line.leave(b"1"), "x"), line.items.offer_file("x")):
        with pytest.raises(ExecutorClosedError):
            ended.result(20)


def test_fetches_from_nodes_end_with_the_interchange(line, tmp_path):
    future = line.items.fetch(line.leave(bytes(10)), str(tmp_path / "out"))
    line.items.on_interchange_lost("the interchange is lost")
    for ended in (future, line.items.fetch(line.leave(bytes(20)), str(tmp_path / "later"))):
        with pytest.raises(ItemLostError, match="the interchange is lost"):
            ended.result(20)


def parcel(*items, task=0):
    return SimpleNamespace(id=task, items=items), ()


def test_result_ends_when_its_items_are_at_their_places(line, tmp_path):
    ended, has_ended = [], threading.Event()
    results = ResultsInPlace(line.items, lambda *end: (ended.append(end), has_ended.set()))
    out, value = line.leave(b"out", 0, "outputs/0"), line.leave(b"value", 1, "value", ItemForm.VALUE)
    results.take(parcel(out, value), {"outputs/0": str(tmp_path / "out")})
    assert results.is_arriving(0)
    assert results.fetched(0) == [(out, str(tmp_path / "out"))]
    assert line.items.arrived(out) == 0
    assert not ended
    line.serve()
    assert has_ended.wait(20)
    assert [(end[1], end[2]) for end in ended] == [((value,), None)]
    assert (tmp_path / "out").read_bytes() == b"out"
    assert [release.blobs for release in line.released] == [[out.id]]
    line.release(value)
    assert [release.blobs for release in line.released] == [[out.id], [value.id]]


def test_result_ends_with_the_first_error_of_its_items(line, tmp_path):
    ended, has_ended = [], threading.Event()
    results = ResultsInPlace(line.items, lambda *end: (ended.append(end), has_ended.set()))
    items = [line.leave(b"out", 0, "outputs/0"), line.leave(b"other", 1, "outputs/1")]
    results.take(parcel(*items), {"outputs/0": "/dev/full", "outputs/1": str(tmp_path / "out")})
    line.items.on_gone(Gone(items[1].id, MANAGER, "evicted"))
    assert has_ended.wait(20)
    assert [(end[1], type(end[2])) for end in ended] == [((), ItemLostError)]
    assert sorted(blob for release in line.released for blob in release.blobs) == sorted(item.id for item in items)


def test_result_that_is_cancelled_brings_nothing_and_releases_all(line, tmp_path):
    ended = []
    results = ResultsInPlace(line.items, lambda *end: ended.append(end))
    out, stays = line.leave(bytes(3_000_000), 0, "outputs/0"), line.leave(b"value", 1, "value")
    results.take(parcel(out, stays, task=7), {"outputs/0": str(tmp_path / "out")})
    line.serve(1)
    assert results.cancel([6, 7]) == [7]
    assert not results.is_arriving(7)
    line.serve()
    line.items.close("the run")
    assert not ended
    assert list(tmp_path.iterdir()) == []
    assert sorted(blob for release in line.released for blob in release.blobs) == sorted([out.id, stays.id])


def test_item_of_an_unfinished_task_is_kept_for_it(line):
    item = line.items.offer_value([memoryview(b"value")])
    line.items.on_task(7, 0, [item])
    line.release(item)
    assert not line.released
    line.items.on_tasks_reported([(7, 0)])
    assert [release.blobs for release in line.released] == [[item.id]]
