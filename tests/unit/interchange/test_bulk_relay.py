"""Stories of blobs between a driver and managers."""

import errno

import pytest

from cnflow.interchange.blob_store import BlobStore
from cnflow.interchange.bulk_relay import READ_AHEAD, BulkRelay, ToDriver, ToManager
from cnflow.interchange.peer_relay import MOST_WAITING
from cnflow.model.item import Item
from cnflow.wire.bulk import Chunk, Gone, Offer, Want
from cnflow.wire.messages import Task

BLOB = b"d" * 16 + b"1"
OTHER = b"o" * 16 + b"12345678"
ONE, TWO, THREE = b"m1", b"m2", b"m3"
SIZE = 300_000
CONTENT = bytes(range(256)) * (SIZE // 256 + 1)
PIECE = 65_536


class World:
    def __init__(self, folder):
        self.store = BlobStore(folder)
        self.sent = []
        self.gone = set()
        self.relay = BulkRelay(self.store, self.sent.append, is_gone=self.gone.__contains__)
        self.now = 0.0

    def task(self, blob=BLOB, size=SIZE):
        self.relay.on_tasks([(Task(1, b"f", b"", blobs=(Offer(blob, size, 0),)), [])])

    def want(self, manager, offset=0, length=PIECE, blob=BLOB):
        self.relay.on_manager_message(manager, Want(blob, b"", offset, length), None)

    def want_of(self, manager, source, offset=0):
        self.relay.on_manager_message(manager, Want(OTHER, source, offset, 5), None)

    def for_driver(self):
        """All messages for the driver."""
        found = []
        while (message := self.relay.next_for_driver(self.now)) is not None:
            found.append(message)
        return found

    def answer(self, messages):
        """The driver answers what is wanted."""
        for message, _ in messages:
            assert isinstance(message, Want)
            data = CONTENT[message.offset : message.offset + message.length]
            self.relay.on_driver_message(Chunk(message.blob, b"", message.offset), data, self.now)

    def answer_all(self):
        while wants := self.for_driver():
            self.answer(wants)

    def sent_to(self, manager):
        found = [bytes(to.data) for to in self.sent if to.manager == manager]
        self.sent = [to for to in self.sent if to.manager != manager]
        self.relay._send = self.sent.append
        return found


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "blobs")


def test_argument_is_fetched_no_faster_than_managers_want_it(world):
    world.task(size=20 * READ_AHEAD)
    for offset in (0, 5 * PIECE):
        world.want(ONE, offset)
        while wants := world.for_driver():
            for message, _ in wants:
                data = bytes(message.length)
                world.relay.on_driver_message(Chunk(message.blob, b"", message.offset), data, world.now)
        assert world.relay._receiver.arrived(BLOB) == offset + PIECE + READ_AHEAD


def test_argument_is_fetched_once_for_all_managers(world):
    world.task()
    world.want(ONE)
    world.want(TWO)
    fetched = world.for_driver()
    world.answer(fetched)
    world.answer_all()
    assert sum(message.length for message, _ in fetched) == SIZE
    assert world.sent_to(ONE) == world.sent_to(TWO) == [CONTENT[:PIECE]]
    world.want(TWO, PIECE)
    assert world.for_driver() == [], "it is here"
    assert world.sent_to(TWO) == [CONTENT[PIECE : 2 * PIECE]]


def test_nothing_is_fetched_before_a_manager_wants_it(world):
    world.task()
    assert world.for_driver() == []
    assert len(world.relay) == 0


def test_piece_is_sent_when_its_last_byte_is_here(world):
    world.task()
    world.want(ONE, PIECE)
    wants = world.for_driver()
    world.answer(wants[:1])
    assert world.sent == []
    world.answer(wants[1:2])
    assert world.sent_to(ONE) == [CONTENT[PIECE : 2 * PIECE]]


def test_released_argument_is_dropped_and_those_who_wait_are_told_once(world):
    world.task()
    world.want(ONE)
    world.want(ONE, PIECE)
    world.for_driver()
    world.relay.on_released(b"", [BLOB])
    (to,) = world.sent
    assert (to.manager, to.message.blob) == (ONE, BLOB)
    assert isinstance(to.message, Gone)
    assert len(world.relay) == world.store.bytes_in_memory == 0
    assert world.relay.next_deadline > 1e9


def test_unknown_argument_passes_through(world):
    """After a restart: its task is still on its way here."""
    world.want(ONE)
    wants = world.for_driver()
    assert wants == [ToDriver(Want(BLOB, b"", 0, PIECE))]
    world.answer(wants)
    assert world.sent_to(ONE) == [CONTENT[:PIECE]]
    assert len(world.relay) == 0


def test_argument_of_a_driver_on_this_machine_passes_through_where_it_would_have_to_be_written_to_disk(tmp_path):
    world = World(tmp_path)
    world.store = BlobStore(tmp_path, most_in_memory=SIZE - 1)
    world.relay = BulkRelay(world.store, world.sent.append, is_local=True)
    world.task()
    world.want(ONE)
    world.answer_all()
    assert world.sent_to(ONE) == [CONTENT[:PIECE]]
    assert len(world.relay) == 0
    assert not list(tmp_path.iterdir())


def test_full_disk_keeps_nothing_and_fails_nothing(world, monkeypatch):
    def full(blob, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(world.store, "open", full)
    world.task()
    world.want(ONE)
    world.want(TWO)
    world.answer_all()
    assert world.sent_to(ONE) == world.sent_to(TWO) == [CONTENT[:PIECE]]


def test_disk_that_fills_up_in_the_middle_fails_nothing(world, monkeypatch):
    world.task()
    world.want(ONE)
    first, *_ = world.for_driver()

    def full(blob, offset, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(world.store, "write", full)
    world.answer([first])
    assert len(world.store) == 0
    world.want(ONE)  # it asks again after a while
    world.answer_all()
    assert world.sent_to(ONE) == [CONTENT[:PIECE]]


def test_argument_whose_file_cannot_be_read_passes_through(world, monkeypatch):
    world.task()
    world.want(ONE)
    world.want(TWO)

    def fail(blob, offset, length):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(world.store, "read", fail)
    world.answer_all()
    assert (world.sent, len(world.store)) == ([], 0)
    world.want(ONE)  # it asks again after a while
    world.answer_all()
    assert world.sent_to(ONE) == [CONTENT[:PIECE]]


def test_argument_that_the_driver_does_not_have_is_gone_for_all_who_wait(world):
    world.task()
    world.want(ONE)
    world.want(TWO)
    world.relay.on_driver_message(Gone(BLOB, b"", "why"), None, 0.0)
    assert {(to.manager, to.message.reason) for to in world.sent} == {(ONE, "why"), (TWO, "why")}
    assert len(world.relay) == 0


def test_piece_that_is_wanted_twice_is_sent_once(world):
    world.task()
    world.want(ONE)
    world.want(ONE)
    world.answer_all()
    assert len(world.sent_to(ONE)) == 1


def test_result_passes_through_if_the_driver_wants_it(world):
    world.relay.on_driver_message(Want(b"r", ONE, 0, 5), None, 0.0)
    assert world.sent == [ToManager(ONE, Want(b"r", ONE, 0, 5))]
    world.relay.on_manager_message(ONE, Chunk(b"r", ONE, 0), b"12345")
    assert world.for_driver() == [ToDriver(Chunk(b"r", ONE, 0), b"12345")]
    assert len(world.relay) == 0


@pytest.mark.parametrize("chunk", [Chunk(b"r", ONE, 5), Chunk(b"x", ONE, 0)])
def test_result_that_nobody_wants_is_dropped(world, chunk):
    world.relay.on_driver_message(Want(b"r", ONE, 0, 5), None, 0.0)
    world.relay.on_manager_message(ONE, chunk, b"12345")
    world.relay.on_manager_message(ONE, Chunk(b"r", ONE, 0), b"1234")
    assert world.for_driver() == []


def test_result_that_is_wanted_again_is_noted_once(world):
    for offset in (0, 5, 10, 0, 5, 10):
        world.relay.on_driver_message(Want(b"r", ONE, offset, 5), None, 0.0)
    for offset in (0, 5, 10):
        world.relay.on_manager_message(ONE, Chunk(b"r", ONE, offset), b"12345")
    assert len(world.relay) == 0


def test_manager_that_is_gone_leaves_nothing(world):
    world.task()
    world.want(ONE)
    world.want(TWO, PIECE)
    world.relay.on_driver_message(Want(b"r", ONE, 0, 5), None, 0.0)
    world.relay.on_manager_gone(ONE)
    world.answer_all()
    assert {to.manager for to in world.sent if to.data is not None} == {TWO}
    assert not world.relay._wanted
    assert not world.relay._waiting


def test_no_manager_gets_a_part_of_a_result_of_another_or_sends_its_blob(world):
    with pytest.raises(ValueError, match="no item"):
        world.relay.on_manager_message(TWO, Want(b"r", ONE, 0, 5), None)
    with pytest.raises(ValueError, match="another manager"):
        world.relay.on_manager_message(TWO, Chunk(b"r", ONE, 0), b"12345")


def test_item_of_the_driver_is_fetched_once_and_kept_until_its_release(world):
    item = Item(BLOB, SIZE)
    world.relay.on_tasks([(Task(1, b"f", b"", items=(item, item._replace(id=OTHER, source=ONE))), [])])
    world.want(ONE)
    world.want(TWO)
    world.answer_all()
    assert world.sent_to(ONE) == world.sent_to(TWO) == [CONTENT[:PIECE]]
    assert len(world.store) == 1
    world.relay.on_released(b"", [BLOB])
    assert len(world.relay) == 0


def test_item_of_a_manager_passes_to_another_one_that_wants_it(world):
    world.want_of(ONE, TWO)
    assert world.sent == [ToManager(TWO, Want(OTHER, TWO, 0, 5), None)]
    world.relay.on_manager_message(TWO, Chunk(OTHER, TWO, 0), b"12345")
    assert world.sent[1:] == [ToManager(ONE, Chunk(OTHER, TWO, 0), b"12345")]
    assert len(world.relay) == 0


def test_piece_that_several_managers_want_at_a_time_is_asked_for_once(world):
    world.want_of(ONE, TWO)
    world.want_of(THREE, TWO)
    assert len(world.sent) == 1
    world.relay.on_manager_message(TWO, Chunk(OTHER, TWO, 0), b"12345")
    assert [to.manager for to in world.sent[1:]] == [ONE, THREE]


def test_piece_that_is_wanted_again_is_asked_for_again(world):
    world.want_of(ONE, TWO)
    world.want_of(THREE, TWO)
    world.want_of(THREE, TWO)
    assert [to.manager for to in world.sent] == [TWO, TWO]


def test_piece_is_asked_for_in_the_name_of_the_others_if_the_first_one_is_gone(world):
    world.want_of(ONE, TWO)
    world.want_of(THREE, TWO)
    world.relay.on_manager_gone(ONE)
    world.relay.on_manager_message(TWO, Chunk(OTHER, TWO, 0), b"12345")
    assert [to.manager for to in world.sent] == [TWO, TWO, THREE]
    assert len(world.relay) == 0


def test_item_passes_to_the_driver_and_a_manager_at_a_time(world):
    world.relay.on_driver_message(Want(OTHER, TWO, 0, 5), None, 0.0)
    world.want_of(ONE, TWO)
    world.relay.on_manager_message(TWO, Chunk(OTHER, TWO, 0), b"12345")
    assert world.sent[-1] == ToManager(ONE, Chunk(OTHER, TWO, 0), b"12345")
    assert world.for_driver() == [ToDriver(Chunk(OTHER, TWO, 0), b"12345")]


@pytest.mark.parametrize("end", ["gone", "released", "source gone", "source was gone"])
def test_item_that_cannot_be_had_is_gone_for_all_who_wait(world, end):
    if end == "source was gone":
        world.gone.add(TWO)
    world.want_of(ONE, TWO)
    world.want_of(THREE, TWO)
    if end == "gone":
        world.relay.on_manager_message(TWO, Gone(OTHER, TWO, "evicted"), None)
    elif end == "released":
        world.relay.on_released(TWO, [OTHER])
    elif end == "source gone":
        world.relay.on_manager_gone(TWO)
    assert {to.manager for to in world.sent if isinstance(to.message, Gone)} == {ONE, THREE}
    assert len(world.relay) == 0


def test_driver_learns_at_once_that_the_manager_of_an_item_is_gone(world):
    world.gone.add(TWO)
    world.relay.on_driver_message(Want(OTHER, TWO, 0, 5), None, 0.0)
    assert [message for message, _ in world.for_driver()] == [Gone(OTHER, TWO, "its manager is gone")]


def test_manager_whose_pieces_were_lost_many_times_gets_those_that_it_wants_now(world):
    for length in range(1, 2 * MOST_WAITING):
        world.relay.on_manager_message(ONE, Want(OTHER, TWO, 0, 10 + length), None)
        world.relay.on_manager_message(ONE, Want(BLOB, b"", 0, 10 + length), None)
    assert world.relay._peers._counts[ONE] <= MOST_WAITING
    world.want_of(ONE, TWO, 7)
    world.relay.on_manager_message(TWO, Chunk(OTHER, TWO, 7), b"12345")
    assert world.sent[-1] == ToManager(ONE, Chunk(OTHER, TWO, 7), b"12345")
    world.relay.on_manager_message(ONE, Want(BLOB, b"", 7, 5), None)
    world.relay.on_driver_message(Chunk(BLOB, b"", 7), b"12345", 0.0)
    assert world.sent[-1] == ToManager(ONE, Chunk(BLOB, b"", 7), b"12345")


def test_requests_go_before_chunks(world):
    world.relay.on_driver_message(Want(b"r", ONE, 0, 5), None, 0.0)
    world.relay.on_manager_message(ONE, Chunk(b"r", ONE, 0), b"12345")
    world.task()
    world.want(ONE)
    assert [type(message) for message, _ in world.for_driver()][-1] is Chunk


def test_new_line_to_the_driver_begins_again(world):
    world.task()
    world.want(ONE)
    lost = world.for_driver()
    world.relay.on_new_driver_line()
    assert world.for_driver() == lost


def test_lost_message_is_repeated_after_a_while(world):
    world.task()
    world.want(ONE)
    lost = world.for_driver()
    world.now = world.relay.next_deadline
    world.relay.on_tick(world.now)
    assert world.for_driver() == lost
