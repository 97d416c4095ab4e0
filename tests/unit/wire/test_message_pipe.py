"""A stream of bytes in messages: stories, and any order of reads, writes and deliveries."""

from collections import deque

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cnflow.wire import message_pipe as pipes
from cnflow.wire.message_pipe import WINDOW, MessagePipe, head_of, parse_head
from cnflow.wire.stream import Stream


class Wire:
    """Two ends, and what is on its way between them."""

    def __init__(self):
        self.to_far, self.to_near = deque(), deque()
        self.near = MessagePipe(lambda *message: self.to_far.append(message))
        self.far = MessagePipe(lambda *message: self.to_near.append(message), -3)

    def deliver(self):
        while self.to_far or self.to_near:
            for queue, end in ((self.to_far, self.far), (self.to_near, self.near)):
                if queue:
                    head, content = queue.popleft()
                    end.on_message(*parse_head(head), content)


@given(st.lists(st.tuples(st.sampled_from(["send", "read", "deliver"]), st.integers(1, 3_000_000)), max_size=60))
def test_bytes_arrive_in_order_within_the_window(steps):
    wire = Wire()
    sent = read = 0
    for step, size in steps:
        if step == "send":
            try:
                sent += wire.near.sendmsg([bytes([sent % 251]) * min(size, 100), b"x" * size])
            except BlockingIOError:
                assert wire.near.room <= 0
        elif step == "read":
            try:
                read += len(wire.far.recv(size))
            except BlockingIOError:
                assert not wire.far.is_readable
        else:
            wire.deliver()
        assert 0 <= sent - read <= WINDOW + WINDOW // 4
    wire.deliver()
    while wire.far.is_readable:
        read += len(wire.far.recv(10**6))
    assert read == sent
    wire.deliver()
    assert wire.near.room > WINDOW // 2


def test_streams_talk_through_a_pipe_as_through_a_socket():
    wire = Wire()
    near, far = Stream(wire.near), Stream(wire.far)
    messages = [[b"small"], [b"head", b"x" * 200_000, b"y" * 10], [b"z" * 9_000_000], [b"last"]]
    for message in messages:
        near.send(message)
    got = []
    while len(got) < len(messages):
        wire.deliver()
        got += [[bytes(frame) for frame in message] for message in far.receive()]
        near.flush()
    assert got == messages
    assert not near.has_unsent


def test_reader_finds_the_end_behind_the_last_bytes():
    wire = Wire()
    wire.near.send(b"last")
    wire.near.close()
    wire.deliver()
    assert (wire.far.recv(10), wire.far.recv(10)) == (b"last", b"")
    with pytest.raises(BrokenPipeError):
        wire.far.send(b"too late")
    wire.far.close()
    assert not wire.to_near
    assert not wire.far.is_readable, "a loop that waits for pipes would find it ready for ever"


@pytest.mark.parametrize(
    "message",
    [
        (pipes.DATA, 7, b"after a gap"),
        (pipes.DATA, 0, b"x" * (WINDOW + 1)),
        (pipes.CREDIT, 1, b""),
        (pipes.OPEN, 0, b"{}"),
    ],
    ids=["gap", "beyond-window", "credit-for-nothing", "second-opening"],
)
def test_message_that_no_end_sends_is_refused(message):
    with pytest.raises(ValueError, match="pipe"):
        Wire().far.on_message(*message)


@pytest.mark.parametrize("head", [b"", b"short", head_of(9), head_of(0), b"x" * 10])
def test_head_of_no_message_is_refused(head):
    with pytest.raises(ValueError, match="message of"):
        parse_head(head)


@pytest.mark.parametrize(
    "frame", [b"\xff\xff\xff\xff" + bytes(8), (1).to_bytes(4, "little") + (2**40).to_bytes(8, "little")]
)
def test_stream_of_an_end_that_is_not_trusted_refuses_what_would_fill_the_memory(frame):
    wire = Wire()
    wire.near.send(frame)
    wire.deliver()
    with pytest.raises(ValueError, match=r"a (frame|message) of"):
        list(Stream(wire.far, largest=2**30).receive())
