"""A session passes over one stream after the other, and loses nothing with any."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.wire.session_stream import SessionStream
from cnflow.wire.stream import Stream

LARGE = 100_000


class Line:
    """Two ends, and what each has received."""

    def __init__(self):
        self.near, self.far = SessionStream(b"12345678"), SessionStream(b"12345678")
        self.received = {self.near: [], self.far: []}
        self.connect(is_again=False)

    def connect(self, *, is_again=True):
        self.cut()
        near, far = map(Stream, socket.socketpair())
        self.far.connect(far)
        self.near.connect(near, is_again=is_again)

    def cut(self):
        self.near.session.on_disconnected()
        for end in (self.near, self.far):
            end.disconnect()

    def move(self, end):
        other = self.far if end is self.near else self.near
        end.flush()
        self.received[other] += [[bytes(frame) for frame in message] for message in other.receive()]

    def settle(self):
        for _ in range(10):
            self.move(self.near)
            self.move(self.far)


@pytest.fixture
def line():
    made = Line()
    made.near.session.on_connected()  # as after any `connect`
    made.connect()
    yield made
    made.cut()


steps = st.lists(
    st.sampled_from(["near", "far", "near large", "far large", "move near", "move far", "cut", "connect"]), max_size=40
)


@given(steps)
def test_all_messages_arrive_once_and_in_order_however_often_the_stream_is_cut(steps):
    line = Line()
    sent = {line.near: [], line.far: []}
    for number, step in enumerate(steps):
        name, *_ = step.split()
        if name in {"near", "far"}:
            frames = [b"%d" % number, bytes(LARGE)] if "large" in step else [b"%d" % number]
            sent[getattr(line, name)].append(frames)
            getattr(line, name).send(frames)
        elif name == "move":
            line.move(getattr(line, step.split()[1]))
        else:
            getattr(line, step)()
    line.connect()
    line.settle()
    try:
        assert line.received == {line.far: sent[line.near], line.near: sent[line.far]}
        assert line.near.session.delivered <= line.near.session.sent == len(sent[line.near])
    finally:
        line.cut()


def test_nothing_is_sent_without_a_connection_but_kept(line):
    line.cut()
    line.near.send([b"kept"])
    line.near.send_unnumbered([b"dropped"])
    assert (line.near.source, line.near.has_unsent, list(line.near.receive())) == (-1, False, [])
    line.connect()
    line.settle()
    assert line.received[line.far] == [[b"kept"]]


def test_unnumbered_message_acknowledges(line):
    line.near.send([b"one"])
    line.settle()
    line.far.send_unnumbered([b"alive"])
    line.settle()
    assert line.received[line.near] == [[b"alive"]]
    assert line.near.session.delivered == 1
