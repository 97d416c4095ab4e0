"""Items between managers, and to the driver, while messages are lost, nodes are killed and the relay is replaced.

Whoever wants an item has it whole in the end, or learns that it is gone; the relay keeps nothing.
"""

import tempfile
from collections import deque
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from cnflow.interchange.blob_store import BlobStore
from cnflow.interchange.bulk_relay import BulkRelay
from cnflow.wire.bulk import Chunk, Gone, Piece, Receiver, Want

CONTENTS = [bytes([n]) * (70_000 + 150_000 * n + 1) for n in range(4)]


class Line:
    """Whoever wants items, over one line: a node or the driver."""

    def __init__(self, name):
        self.name = name
        self.receiver = Receiver()
        self.arriving, self.sources, self.whole, self.gone = {}, {}, {}, set()
        self.kept = {}
        self.from_relay, self.to_relay = deque(), deque()

    def need(self, blob, source, size):
        if blob not in self.arriving and blob not in self.whole and blob not in self.gone:
            self.arriving[blob], self.sources[blob] = bytearray(), source
            self.receiver.add(blob, size)

    def wants(self, now):
        pieces = self.receiver.next_wants(now)
        return [Want(piece.blob, self.sources[piece.blob], piece.offset, piece.length) for piece in pieces]

    def on_message(self, message, data, now):
        blob = message.blob
        if isinstance(message, Want):
            content = self.kept.get(blob)
            end = message.offset + message.length
            reply = Gone(blob, self.name, "dropped") if content is None else Chunk(blob, self.name, message.offset)
            self.to_relay.append((reply, None if content is None else content[message.offset : end]))
        elif isinstance(message, Gone):
            if self.arriving.pop(blob, None) is not None:
                self.gone.add(blob)
                self.receiver.remove(blob)
        elif blob in self.arriving:
            skipped = self.receiver.on_chunk(Piece(blob, message.offset, len(data)), now)
            self.arriving[blob] += data[skipped:]
            if self.receiver.is_complete(blob):
                self.receiver.remove(blob)
                self.whole[blob] = bytes(self.arriving.pop(blob))


class World(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 0.0
        self.numbers = iter(range(10**6))
        self.driver = Line(b"")
        self.nodes, self.dead = {}, set()
        self.items = {}
        """Content and source of each item that is not released."""

        self.new_relay()
        for _ in range(3):
            self.start()

    def new_relay(self):
        store = BlobStore(Path(self.folder.name) / "blobs")
        self.relay = BulkRelay(store, self.on_sent, is_gone=self.dead.__contains__)

    def start(self):
        node = Line(b"node%d" % next(self.numbers))
        self.nodes[node.name] = node

    def on_sent(self, to):
        if to.manager in self.nodes:
            self.nodes[to.manager].from_relay.append((to.message, to.data))

    @rule(content=st.sampled_from(CONTENTS), data=st.data())
    def leave(self, content, data):
        source = data.draw(st.sampled_from(sorted(self.nodes)))
        blob = b"%016d" % next(self.numbers) + b"left"
        self.items[blob] = content, source
        self.nodes[source].kept[blob] = content

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def need(self, data):
        blob = data.draw(st.sampled_from(sorted(self.items)))
        content, source = self.items[blob]
        name = data.draw(st.sampled_from([b"", *sorted(self.nodes.keys() - {source})]))
        (self.nodes[name] if name else self.driver).need(blob, source, len(content))

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def release(self, data):
        """The driver needs an item no more, and so does no task."""
        blob = data.draw(st.sampled_from(sorted(self.items)))
        if blob in self.driver.arriving:
            return
        _, source = self.items.pop(blob)
        self.relay.on_released(source, [blob])
        if source in self.nodes:
            del self.nodes[source].kept[blob]

    @rule(data=st.data())
    def kill(self, data):
        name = data.draw(st.sampled_from(sorted(self.nodes)))
        del self.nodes[name]
        self.dead.add(name)
        self.relay.on_manager_gone(name)
        self.start()

    @rule()
    def relay_is_replaced(self):
        self.new_relay()
        for line in self.lines():
            line.from_relay.clear()
            line.to_relay.clear()

    @rule()
    def drivers_line_breaks(self):
        self.driver.from_relay.clear()
        self.driver.to_relay.clear()
        self.relay.on_new_driver_line()
        self.driver.receiver.on_reconnected()

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds):
        self.now += seconds
        for line in self.lines():
            if self.now >= line.receiver.next_deadline:
                line.receiver.on_tick(self.now)

    @rule(turns=st.integers(1, 30), losses=st.sets(st.integers(0, 90), max_size=6))
    def travel(self, turns, losses):
        number = 0
        for _ in range(turns):
            for line in self.lines():
                line.to_relay.extend((want, None) for want in line.wants(self.now))
                for channel in (line.to_relay, line.from_relay):
                    if channel:
                        message, data = channel.popleft()
                        number += 1
                        if number not in losses:
                            self.arrive(line, message, data, is_to_relay=channel is line.to_relay)
            if (found := self.relay.next_for_driver(self.now)) is not None:
                self.driver.from_relay.append(found)

    def arrive(self, line, message, data, *, is_to_relay):
        if not is_to_relay:
            line.on_message(message, data, self.now)
        elif line is self.driver:
            self.relay.on_driver_message(message, data, self.now)
        else:
            self.relay.on_manager_message(line.name, message, data)

    def lines(self):
        return [self.driver, *self.nodes.values()]

    def teardown(self):
        try:
            for _ in range(1000):
                self.travel(4, set())
                if not any(line.arriving or line.to_relay or line.from_relay for line in self.lines()):
                    break
                self.time_passes(5.0)
            for line in self.lines():
                assert not line.arriving
                for blob, content in line.whole.items():
                    assert content in CONTENTS
                    assert blob not in self.items or content == self.items[blob][0]
                for blob in line.gone & self.items.keys():
                    assert self.items[blob][1] not in self.nodes, "gone, and there"
            assert len(self.relay) == 0
            assert not self.relay._peers._counts
        finally:
            self.folder.cleanup()


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
