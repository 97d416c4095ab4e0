"""Managers ask each other for items directly; whatever goes wrong there, the interchange is asked."""

import time

import pytest

from cnflow.ids import ManagerId
from cnflow.manager.awaited_parts import AwaitedParts
from cnflow.manager.blob_cache import BlobCache
from cnflow.manager.bulk_link import BulkLink
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.items import peers
from cnflow.manager.items.node_items import NodeItems
from cnflow.manager.items.peers import Peers
from cnflow.manager.node.area import NodeArea
from cnflow.model.item import Item
from cnflow.wire import sockets
from cnflow.wire.bulk import Chunk, Gone, Want
from cnflow.wire.messages import Task
from cnflow.wire.peer_messages import Serving

HAS, NEEDS = ManagerId(b"has it"), ManagerId(b"needs!")
WANT = Want(b"k" * 24, HAS, 0, 5)


class End:
    """Manager with nothing but its connections to others."""

    def __init__(self, context, manager, reply=None):
        self.context = context
        self.poller = sockets.Poller()
        self.peers = Peers(manager, self.poller)
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

    def make(reply=None):
        first = End(context, HAS, reply)
        second = End(context, NEEDS)
        made.extend((first, second))
        second.peers.on_serving(context, first.peers.serve(context))
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


def test_item_comes_over_a_direct_line_once_it_is_there(ends):
    first, second = ends((Chunk(WANT.blob, HAS, 0), b"bytes"))
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


def test_task_whose_item_is_lost_already_is_reported_without_another_message(tmp_path):
    poller = sockets.Poller()
    items = NodeItems(NodeArea(HAS, str(tmp_path)), HAS, 10.0)
    arguments = IncompleteTasks(BlobCache(0))
    link = BulkLink(HAS, poller, arguments, items, Peers(HAS, poller), 10.0)
    left = Item(b"k" * 24, 5, source=HAS)
    items._needs.use_left(left.key, left.size)
    items._needs.on_stored(left.key)
    items._needs.forget(left.key)  # a task has written to it
    items.tasks.settle()
    state = AwaitedParts(arguments, items.tasks)
    assert state.hold((Task(1, b"f", b"", items=(left,)), ())) is None
    assert link.receive({}, 0.0)
    assert state.take_complete() == []
    assert [lost.key for lost in state.take_lost()] == [left.key]
    assert not link.receive({}, 0.0)
    link.close()
