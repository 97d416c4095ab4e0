"""Stories of large results whose driver is away."""

import errno
import random

import pytest

from cnflow.interchange.blob_store import BlobStore
from cnflow.interchange.large_results import INTERCHANGE, LargeResults
from cnflow.wire.bulk import Chunk, Gone, Offer, Release, Want
from cnflow.wire.messages import Result

MANAGER = b"m1"
SIZE = 300_000
SMALL = 1000
"""Bytes of the parts of a walk."""

CONTENT = bytes(range(256)) * (SIZE // 256 + 1)


class World:
    def __init__(self, folder):
        self.sent = []
        self.store = BlobStore(folder, most_in_memory=0)
        self.results = LargeResults(
            self.store, folder, 10 * SIZE, lambda manager, message: self.sent.append((manager, message))
        )
        self.now = 0.0

    def parcel(self, task=1, blob=b"00000001", parts=1, size=SIZE):
        offers = tuple(Offer(blob + bytes([part]), size, part, MANAGER) for part in range(parts))
        return Result(task, 0, b"", blobs=offers), [b"small"]

    def answer(self, most=10**6):
        """The manager answers what is wanted, until nothing more is."""
        for _ in range(most):
            self.results.ask(self.now)
            if not self.sent or isinstance(self.sent[0][1], Release):
                return
            manager, want = self.sent.pop(0)
            data = CONTENT[want.offset : want.offset + want.length]
            self.results.on_manager_message(manager, Chunk(want.blob, MANAGER, want.offset), data, self.now)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "results")


def test_large_parts_are_fetched_and_the_result_offers_them_itself(world):
    assert world.results.hold([world.parcel(parts=2)]) == []
    assert world.results.take_ready() == []
    world.answer()
    (result, frames) = world.results.take_ready()[0]
    assert [(offer.source, offer.size, offer.position) for offer in result.blobs] == [
        (INTERCHANGE, SIZE, 0),
        (INTERCHANGE, SIZE, 1),
    ]
    assert frames == [b"small"]
    assert world.sent == [(MANAGER, Release(MANAGER, [b"00000001\0", b"00000001\1"]))]
    for offer in result.blobs:
        assert world.results.on_want(Want(offer.blob, INTERCHANGE, 1000, 500)) is None
        message, data = world.results.next_for_driver()
        assert (message, bytes(data)) == (Chunk(offer.blob, INTERCHANGE, 1000), CONTENT[1000:1500])
    world.results.release([offer.blob for offer in result.blobs])
    assert len(world.store) == 0
    assert world.results.is_idle


def test_small_results_pass(world):
    small = (Result(1, 0, b"body"), [])
    assert world.results.hold([small]) == [small]


def test_result_of_a_manager_that_is_lost_goes_on_as_it_was(world):
    parcel = world.parcel()
    world.results.hold([parcel])
    world.answer(most=1)
    world.results.on_manager_gone(b"another")
    assert world.results.take_ready() == []
    world.results.on_manager_gone(MANAGER)
    assert world.results.take_ready() == [parcel]
    assert len(world.store) == 0


def test_driver_that_is_back_wants_the_rest_itself(world):
    parcel = world.parcel()
    world.results.hold([parcel])
    world.answer(most=1)
    world.results.on_driver_back()
    assert world.results.take_ready() == [parcel]
    assert not world.results.is_holding
    (manager, want) = (MANAGER, Want(b"00000001\0", MANAGER, 0, 10))
    assert not world.results.on_manager_message(manager, Chunk(want.blob, MANAGER, 0), b"x" * 10, 0.0)


def test_result_that_finds_no_room_stays_with_its_manager(world, monkeypatch, caplog):
    large = world.parcel(size=11 * SIZE)
    assert world.results.hold([large]) == [large]

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(world.store, "open", fail)
    assert world.results.hold([world.parcel()]) == [world.parcel()]
    assert "No space left on device" in caplog.text
    assert not world.results.is_holding


def test_manager_that_has_a_part_no_more_ends_the_wait(world):
    parcel = world.parcel()
    world.results.hold([parcel])
    world.results.ask(0.0)
    assert world.results.on_manager_message(MANAGER, Gone(b"00000001\0", MANAGER, "dropped"), None, 0.0)
    assert world.results.take_ready() == [parcel]


def test_offers_that_no_manager_makes_are_left_to_the_driver(world):
    result, frames = world.parcel(parts=2)
    result.blobs = (result.blobs[0], result.blobs[0])
    assert world.results.hold([(result, frames)]) == [(result, frames)]
    world.results.hold([world.parcel(task=1)])
    again = world.parcel(task=2)
    assert world.results.hold([again]) == [again]


def test_part_of_an_interchange_that_was_replaced_is_gone(world):
    gone = world.results.on_want(Want(b"7", INTERCHANGE, 0, 10))
    assert gone == Gone(b"7", INTERCHANGE, "the interchange that kept it was replaced")


@pytest.mark.parametrize("seed", range(50))
def test_each_result_comes_out_once_whatever_happens(world, seed):
    chance = random.Random(seed)
    results, expected, came, wanted, names = world.results, [], [], [], iter(range(1000))

    def come(number):
        parts = chance.randint(1, 3)
        parcel = world.parcel(number, b"%08d" % next(names), parts, SMALL)
        if chance.random() < 0.2:
            parcel = world.parcel(number, b"%08d" % next(names), parts, 11 * SIZE)
        expected.append(number)
        came.extend(results.hold([parcel]))

    def answer():
        results.ask(world.now)
        wanted.extend(message for _, message in world.sent if isinstance(message, Want))
        world.sent.clear()
        if wanted:
            want = wanted.pop(chance.randrange(len(wanted)))
            if chance.random() < 0.1:
                results.on_manager_message(MANAGER, Gone(want.blob, MANAGER, "dropped"), None, world.now)
            else:
                data = CONTENT[want.offset : want.offset + want.length]
                results.on_manager_message(MANAGER, Chunk(want.blob, MANAGER, want.offset), data, world.now)

    def wait():
        world.now += chance.choice([1.0, 100.0])

    rare = {0: lambda: results.on_manager_gone(MANAGER), 1: results.on_driver_back, 2: results.on_new_driver_line}
    for number in range(60):
        step = chance.randrange(20)
        rare.get(step, wait if step < 5 else answer if step < 15 else lambda number=number: come(number))()
        if chance.random() < 0.5:
            came.extend(results.take_ready())
    results.on_driver_back()
    came.extend(results.take_ready())
    assert sorted(result.id for result, _ in came) == expected
    kept = [offer for result, _ in came for offer in result.blobs if offer.source == INTERCHANGE]
    assert len(world.store) == len(kept)
    for offer in kept:
        assert results.on_want(Want(offer.blob, INTERCHANGE, 0, SMALL)) is None
        assert bytes(results.next_for_driver()[1]) == CONTENT[:SMALL]
    results.release([offer.blob for offer in kept])
    assert len(world.store) == 0
    assert results.is_idle
