"""Managers ask each other for items directly; whatever goes wrong there, the interchange is asked."""

import time

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.items import peers
from cnflow.manager.items.peers import Peers
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.peer_messages import Serving

HAS, NEEDS = ManagerId(b"has it"), ManagerId(b"needs!")
WANT = Want(b"k" * 24, HAS, 0, 5)


class End:
    """Manager with nothing but its connections to others."""

    def __init__(self, context, manager, reply=None, *, is_encrypted=True):
        self.context = context
        self.poller = sockets.Poller()
        self.peers = Peers(manager, self.poller, is_encrypted=is_encrypted)
        self.reply = reply
        self.chunks = []
        self.lost = []

    def turn(self, now=0.0):
        ready = dict(self.poller.poll(20))
        self.lost += self.peers.receive(ready, now, self._on_chunk, self._on_want)

    def _on_chunk(self, chunk, data, now):
        self.chunks.append((chunk, bytes(data)))

    def _on_want(self, want, now, reply):
        if self.reply is not None:
            reply(*self.reply)


@pytest.fixture
def context():
    made = sockets.new_context()
    yield made
    made.term()


@pytest.fixture
def ends(context):
    """Function that makes two managers, of which one knows that the other serves."""
    made = []

    def make(reply=None, *, is_encrypted=True):
        first = End(context, HAS, reply, is_encrypted=is_encrypted)
        second = End(context, NEEDS)
        made.extend((first, second))
        serving = first.peers.serve(context)
        assert bool(serving.key) == is_encrypted
        second.peers.on_serving(context, serving)
        return first, second

    yield make
    for end in made:
        end.peers.close()


def until(is_true, *ends, now=0.0):
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        for end in ends:
            end.turn(now)


@pytest.mark.parametrize("is_encrypted", [True, False])
def test_item_comes_over_a_direct_line_once_it_is_there(ends, is_encrypted):
    first, second = ends((Chunk(WANT.blob, HAS, 0), b"bytes"), is_encrypted=is_encrypted)
    assert not second.peers.send(Want(b"k" * 24, b"third", 0, 5), 0.0)
    until(lambda: second.peers.send(WANT, 0.0), second)
    until(lambda: second.chunks, first, second)
    assert second.chunks == [(Chunk(WANT.blob, HAS, 0), b"bytes")]
    assert second.lost == []


def test_news_that_an_item_is_gone_are_not_believed(ends):
    first, second = ends((Gone(WANT.blob, HAS, "gone"), None))
    until(lambda: second.peers.send(WANT, 0.0), second)
    until(lambda: second.lost, first, second)
    assert second.lost == [HAS]
    assert not second.peers.send(WANT, 0.0)


def test_silent_line_is_given_up(ends):
    _, second = ends()
    until(lambda: second.peers.send(WANT, 0.0), second)
    assert second.peers.send(WANT, peers._PATIENCE / 2)
    assert not second.peers.send(WANT, peers._PATIENCE)
    assert not second.peers.send(WANT, 0.0)


def test_lost_line_is_given_up(ends):
    first, second = ends()
    until(lambda: second.peers.send(WANT, 0.0), second)
    first.peers.close()
    until(lambda: second.lost, second)
    assert not second.peers.send(WANT, 0.0)


def test_chunk_of_another_source_ends_the_line(ends):
    first, second = ends((Chunk(WANT.blob, b"third", 0), b"bytes"))
    until(lambda: second.peers.send(WANT, 0.0), second)
    until(lambda: second.lost, first, second)
    assert second.chunks == []


def test_line_to_a_server_with_another_key_never_comes_up(context):
    first, second = End(context, HAS), End(context, NEEDS)
    serving = first.peers.serve(context)
    second.peers.on_serving(context, Serving(HAS, serving.hosts, serving.port, sockets.new_key_pair()[0]))
    for _ in range(10):
        second.turn()
        assert not second.peers.send(WANT, 0.0)
    first.peers.close()
    second.peers.close()


def test_request_for_what_another_manager_has_is_dropped(ends):
    first, second = ends((Chunk(WANT.blob, HAS, 0), b"bytes"))
    until(lambda: second.peers.send(WANT, 0.0), second)
    second.peers._lines[HAS].dealer.send([b"\x93nonsense"])
    until(lambda: second.chunks, first, second)
    assert len(second.chunks) == 1
