"""Messages come out of a stream as they went in, however the system cuts it."""

import select
import socket

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


def carried(sender, receiver, sent):
    """What comes out at *receiver* when *sender* is given *sent*, both as fast as they can."""
    for message in sent:
        sender.send(message)
    found = []
    while len(found) < len(sent):
        sender.flush()
        found += receiver.received()
    return [[bytes(frame) for frame in message] for message in found]


@given(messages)
def test_what_is_sent_is_received(sizes):
    sent = [frames_of(each) for each in sizes]
    first, second = (Stream(end) for end in socket.socketpair())
    try:
        assert carried(first, second, sent) == sent
        assert not first.wants_to_write
    finally:
        first.close()
        second.close()


@given(messages.filter(bool), st.randoms(use_true_random=False))
def test_bytes_may_come_in_any_pieces(sizes, chance):
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
            found += stream.received()
        assert [[bytes(frame) for frame in message] for message in found] == sent
    finally:
        for end in (first, second, stream, raw):
            end.close()


def test_large_frames_are_writable_and_not_shared(ends):
    first, second = ends
    (message,) = carried(first, second, [[b"head", bytes(LARGE), bytes(LARGE)]])
    assert [len(frame) for frame in message] == [4, LARGE, LARGE]
    first.send([bytes(LARGE)])
    ((frame,),) = second.received()
    assert isinstance(frame, bytearray)


def test_a_sender_never_waits_for_a_slow_reader(ends):
    first, second = ends
    for number in range(100):
        first.send([number.to_bytes(4, "little"), bytes(LARGE)])
    assert first.wants_to_write
    found = []
    while len(found) < 100:
        first.flush()
        found += second.received()
    assert [int.from_bytes(head, "little") for head, _ in found] == list(range(100))


def test_the_end_is_noticed_after_all_that_came_before_it(ends):
    first, second = ends
    first.send([b"last words"])
    first.close()
    assert list(second.received()) == [[b"last words"]]
    assert list(second.received()) == []
    assert second.is_closed


def test_writing_to_one_that_is_gone_is_no_error(ends):
    first, second = ends
    second.close()
    first.send([b"nobody hears"])
    assert not first.wants_to_write
    assert list(first.received()) == []
    assert first.is_closed
