"""A stream delivers messages whole and in order, however the system splits their bytes."""

import select
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.wire.stream import Stream

LARGE = 64 * 1024
sizes = st.integers(0, 40) | st.sampled_from([LARGE - 1, LARGE, LARGE + 1, 300_000])
messages = st.lists(st.lists(sizes, min_size=1, max_size=5), max_size=6)


@pytest.fixture
def ends():
    first, second = (Stream(end) for end in socket.socketpair())
    yield first, second
    first.close()
    second.close()


def frames_of(sizes):
    return [bytes([(n + size) % 256]) * size for n, size in enumerate(sizes)]


def transfer(sender, receiver, sent):
    """Send all messages of *sent* and return the messages that *receiver* yields."""
    for message in sent:
        sender.send(message)
    found = []
    while len(found) < len(sent):
        sender.flush()
        found += receiver.receive()
    return [[bytes(frame) for frame in message] for message in found]


@given(messages)
def test_messages_arrive_as_they_were_sent(sizes):
    sent = [frames_of(each) for each in sizes]
    first, second = (Stream(end) for end in socket.socketpair())
    try:
        assert transfer(first, second, sent) == sent
        assert not first.has_unsent
    finally:
        first.close()
        second.close()


@given(messages.filter(bool), st.randoms(use_true_random=False))
def test_messages_are_parsed_from_pieces_of_any_size(sizes, chance):
    sent = [frames_of(each) for each in sizes]
    first, second = (Stream(end) for end in socket.socketpair())
    raw, whole = socket.socketpair()
    try:
        stream = Stream(whole)
        for message in sent:
            first.send(message)
        piped, found = bytearray(), []
        while len(found) < len(sent):
            first.flush()
            while select.select([second.raw], [], [], 0)[0]:
                piped += second.raw.recv(1 << 20)
            take = chance.choice([1, 3, 100, 70_000])
            raw.sendall(piped[:take])
            del piped[:take]
            found += stream.receive()
        assert [[bytes(frame) for frame in message] for message in found] == sent
    finally:
        for end in (first, second, stream, raw):
            end.close()


def test_large_frames_are_writable_and_not_shared(ends):
    first, second = ends
    (message,) = transfer(first, second, [[b"head", bytes(LARGE), bytes(LARGE)]])
    assert [len(frame) for frame in message] == [4, LARGE, LARGE]
    first.send([bytes(LARGE)])
    ((frame,),) = second.receive()
    assert isinstance(frame, bytearray)


def test_send_does_not_block_on_a_slow_reader(ends):
    first, second = ends
    for number in range(100):
        first.send([number.to_bytes(4, "little"), bytes(LARGE)])
    assert first.has_unsent
    found = []
    while len(found) < 100:
        first.flush()
        found += second.receive()
    assert [int.from_bytes(head, "little") for head, _ in found] == list(range(100))


def test_closed_is_set_after_the_last_message_was_received(ends):
    first, second = ends
    first.send([b"last words"])
    first.close()
    assert list(second.receive()) == [[b"last words"]]
    assert list(second.receive()) == []
    assert second.is_closed


def test_send_to_a_closed_end_drops_the_message(ends):
    first, second = ends
    second.close()
    first.send([b"dropped"])
    assert not first.has_unsent
    assert list(first.receive()) == []
    assert first.is_closed


def test_small_messages_of_one_frame_arrive_in_order_among_others_however_they_are_cut():
    end, raw = socket.socketpair()
    stream = Stream(end)
    sent = [[b"a"], [b"b", b"c"], [b"d" * 70_000], [b""], [b"e"]]
    out = b"".join(
        struct.pack(f"<I{len(frames)}Q", len(frames), *map(len, frames)) + b"".join(frames) for frames in sent
    )
    found = []
    for cut in (out[:5], out[5:20], out[20:50], out[50:40_000], out[40_000:-14], out[-14:-3], out[-3:]):
        raw.sendall(cut)
        found += [[bytes(frame) for frame in frames] for frames in stream.receive()]
    assert found == sent
    stream.close()
    raw.close()
