"""Stories of blobs on a line, and a machine that loses, repeats, delays and breaks whatever it can."""

import os

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.wire import messages as msg
from cnflow.wire.bulk import (
    MOST_ACTIVE,
    MOST_PATIENCE,
    MOST_PIECES_WANTED,
    PATIENCE,
    SMALL,
    Chunk,
    Gone,
    Offer,
    Piece,
    Receiver,
    Sender,
    Want,
    decode_bulk,
)
from cnflow.wire.bulk_window import FIRST, LEAST_PIECE, MOST_PIECE

A, B, C = b"a", b"b", b"c"
MIB = 2**20


def answer(receiver, pieces, now=0.01):
    """All of *pieces* arrive."""
    return [receiver.on_chunk(piece, now) for piece in pieces]


def fetch(receiver, now=0.0):
    """Everything arrives; the pieces in their order."""
    seen = []
    while pieces := receiver.next_wants(now):
        seen += pieces
        now += 0.001
        answer(receiver, pieces, now)
    return seen


def test_pieces_of_a_blob_are_wanted_in_order_and_within_the_window():
    receiver = Receiver()
    receiver.add(A, 100 * MIB)
    pieces = receiver.next_wants(0.0)
    assert sum(piece.length for piece in pieces) == receiver.on_their_way == FIRST
    assert [piece.offset for piece in pieces] == [n * LEAST_PIECE for n in range(len(pieces))]
    assert receiver.next_wants(0.0) == []


def test_blob_is_complete_when_its_last_byte_is_here():
    receiver = Receiver()
    receiver.add(A, 3 * MIB + 1)
    pieces = fetch(receiver)
    assert sum(piece.length for piece in pieces) == 3 * MIB + 1
    assert receiver.is_complete(A)
    receiver.remove(A)
    assert not receiver
    assert A not in receiver


def test_blobs_take_turns():
    receiver = Receiver()
    receiver.add(A, 50 * MIB)
    receiver.add(B, 50 * MIB)
    assert {piece.blob for piece in receiver.next_wants(0.0)[:2]} == {A, B}


def test_small_blob_goes_before_larger_ones_that_do_not_stand_still():
    receiver = Receiver()
    receiver.add(A, 50 * MIB)
    receiver.add(B, SMALL - 1)
    order = [piece.blob for piece in fetch(receiver)]
    until_b_is_here = order[: len(order) - order[::-1].index(B)]
    assert 2 <= until_b_is_here.count(B) / until_b_is_here.count(A) <= 4


def test_small_blob_overtakes_those_that_wait_for_their_turn():
    receiver = Receiver()
    for number in range(MOST_ACTIVE + 5):
        receiver.add(b"%d" % number, 20 * MIB)
    receiver.next_wants(0.0)
    receiver.add(A, MIB)
    receiver.remove(b"0")
    receiver.on_reconnected()
    assert A in {piece.blob for piece in receiver.next_wants(0.0)}


def test_no_more_blobs_are_under_way_than_the_limit():
    receiver = Receiver()
    for number in range(3 * MOST_ACTIVE):
        receiver.add(b"%d" % number, LEAST_PIECE // 64)
    assert len({piece.blob for piece in receiver.next_wants(0.0)}) == MOST_ACTIVE
    assert len(receiver) == 3 * MOST_ACTIVE


def test_lost_chunk_is_wanted_again_as_soon_as_a_later_one_arrives():
    receiver = Receiver()
    receiver.add(A, 10 * MIB)
    lost, second, third, *_ = receiver.next_wants(0.0)
    assert answer(receiver, [second]) == [second.length]
    again = receiver.next_wants(0.02)
    assert again[0] == lost
    assert answer(receiver, [third]) == [third.length], "it was on its way before, and means nothing new"
    assert receiver.next_wants(0.02) == []
    answer(receiver, again)
    assert receiver.arrived(A) == sum(piece.length for piece in again)


def test_missing_chunk_is_wanted_again_after_a_while_and_less_often_each_time():
    receiver = Receiver()
    receiver.add(A, MIB)
    first = receiver.next_wants(0.0)
    assert receiver.next_deadline == PATIENCE
    now = pauses = 0.0
    for _ in range(6):
        before, now = now, receiver.next_deadline
        receiver.on_tick(now)
        assert receiver.next_wants(now) == first
        pauses = now - before
    assert pauses == MOST_PATIENCE


def test_everything_on_its_way_is_wanted_again_on_a_new_connection():
    receiver = Receiver()
    receiver.add(A, 10 * MIB)
    pieces = receiver.next_wants(0.0)
    answer(receiver, pieces[:3])
    receiver.next_wants(0.0)
    receiver.on_reconnected()
    assert receiver.next_wants(0.1)[0].offset == 3 * LEAST_PIECE
    assert receiver.on_their_way <= receiver.window.size


def test_chunk_that_comes_twice_or_is_not_wanted_is_dropped():
    receiver = Receiver()
    receiver.add(A, MIB)
    first = receiver.next_wants(0.0)[0]
    assert answer(receiver, [first, first, Piece(B, 0, 10)]) == [0, first.length, 10]


def test_chunk_that_overlaps_what_is_here_is_cut():
    receiver = Receiver()
    receiver.add(A, MIB)
    first = receiver.next_wants(0.0)[0]
    answer(receiver, [first])
    assert answer(receiver, [Piece(A, first.length - 10, 100)]) == [10]
    assert receiver.arrived(A) == first.length + 90


def test_chunk_beyond_the_end_is_dropped():
    receiver = Receiver()
    receiver.add(A, 100)
    receiver.next_wants(0.0)
    assert answer(receiver, [Piece(A, 0, 101)]) == [101]
    assert receiver.arrived(A) == 0


def test_blob_that_is_no_longer_wanted_frees_the_window():
    receiver = Receiver()
    receiver.add(A, 10 * MIB)
    pieces = receiver.next_wants(0.0)
    receiver.remove(A)
    assert receiver.on_their_way == 0
    assert answer(receiver, pieces) == [piece.length for piece in pieces]
    receiver.add(B, MIB)
    assert receiver.next_wants(0.0)[0].blob == B


def test_late_answer_to_the_first_request_measures_nothing():
    receiver = Receiver()
    receiver.add(A, 100 * MIB)
    pieces = receiver.next_wants(0.0)
    receiver.on_tick(PATIENCE)
    receiver.next_wants(PATIENCE)
    before = receiver.window.size
    answer(receiver, pieces, PATIENCE + 1e-6)
    receiver.next_wants(PATIENCE)
    assert receiver.window.size == before
    assert receiver.window._idle_time > 1


def test_sender_sends_a_piece_of_each_blob_in_turn():
    sender = Sender()
    for blob in (A, B):
        for number in range(2):
            sender.on_want(Piece(blob, number * 10, 10))
    assert [sender.next_piece().blob for _ in range(4)] == [A, B, A, B]
    assert sender.next_piece() is None
    assert not sender


def test_sender_sends_first_what_is_missing_first():
    sender = Sender()
    for offset in (10, 20, 30, 0, 20):
        sender.on_want(Piece(A, offset, 10))
    assert [sender.next_piece().offset for _ in range(4)] == [0, 10, 20, 30]
    assert sender.next_piece() is None


def test_sender_keeps_a_bounded_number_of_pieces():
    sender = Sender()
    for number in range(10 * MOST_PIECES_WANTED):
        sender.on_want(Piece(A, number, 1))
    assert len(sender._wanted[A]) == MOST_PIECES_WANTED


def test_sender_drops_what_is_released():
    sender = Sender()
    sender.on_want(Piece(A, 0, 1))
    sender.on_want(Piece(B, 0, 1))
    sender.remove([A, C])
    assert sender.next_piece().blob == B
    sender.on_want(Piece(C, 0, 1))
    sender.clear()
    assert not sender


@pytest.mark.parametrize("message", [Want(A, b"", 0, 5), Chunk(A, b"m", 7), Gone(A, b"", "it is gone")])
def test_messages_come_as_they_were_sent(message):
    assert decode_bulk(msg.encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Want(A, b"", -1, 5),
        Want(A, b"", 0, 0),
        Want(A, b"", 0, MOST_PIECE + 1),
        Want(b"", b"", 0, 1),
        Want(bytes(33), b"", 0, 1),
        Chunk(A, bytes(33), 0),
        Gone(A, b"", "x" * 10_001),
    ],
)
def test_impossible_message_is_malformed(message):
    with pytest.raises(msgspec.ValidationError):
        decode_bulk(msg.encode(message))


def test_impossible_offer_is_malformed():
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msg.encode(Offer(A, 0, 0)), type=Offer)


class BadLine(RuleBasedStateMachine):
    """Blobs over a line that loses and repeats messages, in order, and breaks."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.content = {}
        self.here = {}
        self.receiver, self.sender = Receiver(), Sender()
        self.to_sender, self.to_receiver = [], []

    @rule(size=st.integers(1, 3 * MIB), needed=st.sampled_from([1, MIB, 10 * MIB]))
    def add(self, size, needed):
        blob = b"%d" % len(self.content)
        self.content[blob], self.here[blob] = os.urandom(64) * (size // 64 + 1), bytearray()
        self.content[blob] = self.content[blob][:size]
        self.receiver.add(blob, size, needed)

    @precondition(lambda self: self.here)
    @rule(data=st.data(), needed=st.integers(1, 4 * MIB))
    def more_is_needed(self, data, needed):
        self.receiver.need(data.draw(st.sampled_from(sorted(self.here))), needed)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def remove(self, data):
        blob = data.draw(st.sampled_from(sorted(self.here)))
        self.receiver.remove(blob)
        self.sender.remove([blob])
        del self.here[blob]

    @rule(seconds=st.floats(0.0, 20.0))
    def wait(self, seconds):
        self.now += seconds
        if self.now >= self.receiver.next_deadline:
            self.receiver.on_tick(self.now)

    @rule()
    def ask(self):
        self.to_sender += self.receiver.next_wants(self.now)

    @rule(count=st.integers(1, 20), data=st.data())
    def requests_arrive(self, count, data):
        for _ in range(min(count, len(self.to_sender))):
            piece = self.to_sender.pop(0)
            for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 1, 2]))):
                self.sender.on_want(piece)

    @rule(count=st.integers(1, 20))
    def sender_sends(self, count):
        for _ in range(count):
            piece = self.sender.next_piece()
            if piece is not None:
                self.to_receiver.append(piece)

    @rule(count=st.integers(1, 20), data=st.data())
    def chunks_arrive(self, count, data):
        for _ in range(min(count, len(self.to_receiver))):
            piece = self.to_receiver.pop(0)
            for _ in range(data.draw(st.sampled_from([0, 1, 1, 1, 1, 2]))):
                self._arrive(piece)

    def _arrive(self, piece):
        skipped = self.receiver.on_chunk(piece, self.now)
        data = self.content[piece.blob][piece.offset : piece.offset + piece.length]
        if skipped < piece.length:
            self.here[piece.blob] += data[skipped:]

    @rule()
    def line_breaks(self):
        self.to_sender.clear()
        self.to_receiver.clear()
        self.sender.clear()
        self.receiver.on_reconnected()

    @invariant()
    def what_is_here_is_a_beginning_of_what_was_sent(self):
        for blob, data in self.here.items():
            assert self.content[blob][: len(data)] == data
            assert self.receiver.arrived(blob) == len(data)

    @invariant()
    def bytes_on_their_way_are_counted_and_within_the_window(self):
        active = self.receiver._active.values()
        assert self.receiver.on_their_way == sum(blob.wanted - blob.arrived for blob in active)
        assert all(0 <= blob.arrived <= blob.wanted <= blob.needed <= blob.size for blob in active)
        assert len(active) <= MOST_ACTIVE

    @invariant()
    def every_blob_with_bytes_to_ask_for_has_a_turn(self):
        turns = [blob for deque in self.receiver._turns for blob in deque]
        assert len(turns) == len(set(turns))
        missing = {blob for blob, state in self.receiver._active.items() if state.wanted < state.needed}
        assert missing == set(turns)

    @invariant()
    def whatever_is_asked_for_has_a_deadline(self):
        assert all(blob.due < 1e9 for blob in self.receiver._active.values() if blob.wanted > blob.arrived)

    def teardown(self):
        """A line that works brings everything, once everything is needed."""
        for blob in self.here:
            self.receiver.need(blob, 4 * MIB)
        for _ in range(10_000):
            self.to_sender += self.receiver.next_wants(self.now)
            for piece in self.to_sender:
                self.sender.on_want(piece)
            self.to_sender.clear()
            while (piece := self.sender.next_piece()) is not None:
                self.to_receiver.append(piece)
            arriving, self.to_receiver = self.to_receiver, []
            for piece in arriving:
                self._arrive(piece)
            if all(self.receiver.is_complete(blob) for blob in self.here):
                break
            self.now += 0.5
            self.receiver.on_tick(self.now)
        assert all(data == self.content[blob] for blob, data in self.here.items())
        for blob in list(self.here):
            self.receiver.remove(blob)
        assert not self.receiver._active
        assert not self.receiver._waiting
        assert not any(self.receiver._turns)
        assert self.receiver.on_their_way == 0


TestBadLine = BadLine.TestCase
TestBadLine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_new_line_is_learned_from_the_beginning():
    receiver = Receiver()
    receiver.add(A, 100 * MIB)
    fetch(receiver)
    receiver.on_reconnected()
    assert receiver.window.size == FIRST
    receiver.on_reconnected(is_local=True)
    assert receiver.window.size > FIRST


def test_no_more_is_asked_for_than_is_needed_now():
    receiver = Receiver()
    receiver.add(A, 10 * MIB, needed=MIB)
    assert sum(piece.length for piece in fetch(receiver)) == MIB
    receiver.need(A, MIB)
    assert receiver.next_wants(0.0) == []
    receiver.need(A, 20 * MIB)
    assert sum(piece.length for piece in fetch(receiver)) == 9 * MIB
    assert receiver.is_complete(A)


def test_blobs_of_which_no_more_is_needed_hold_up_no_others():
    receiver = Receiver()
    for number in range(2 * MOST_ACTIVE):
        receiver.add(b"%d" % number, 10 * MIB, needed=LEAST_PIECE)
    fetch(receiver)
    receiver.add(A, MIB)
    fetch(receiver)
    assert receiver.is_complete(A)
