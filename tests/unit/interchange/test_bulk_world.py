"""Blobs from the driver to managers and back, while pieces are lost, connections break, and everybody is killed.

The real machines of all three; what a session carries (tasks, results, releases) arrives, what it does not (pieces) may
be lost. Nothing is lost or torn in the end, and nobody keeps anything.
"""

import tempfile
from collections import deque
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from cnflow.executors.high_throughput.bulk_line import BulkLine
from cnflow.interchange.blob_store import BlobStore
from cnflow.interchange.bulk_relay import BulkRelay
from cnflow.manager.blob_cache import BlobCache
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.kept_results import KeptResults
from cnflow.wire import messages as msg
from cnflow.wire.bulk import Chunk, Gone, Release, Want, decode_bulk
from cnflow.wire.pipe import ResultKind

LIMIT = 2 * 2**20
CONTENTS = [bytes([n]) * (2**20 + 200_000 * n + 1) for n in range(4)]
"""Of arguments and results."""


class ManagerNode:
    def __init__(self, number):
        self.id = b"manager%d" % number
        self.tasks = IncompleteTasks(BlobCache(LIMIT))
        self.results = KeptResults(self.id, 60.0)
        self.running = {}
        self.from_relay, self.to_relay = deque(), deque()


class World(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 0.0
        self.numbers = iter(range(10**6))
        self.driver = BulkLine(self.on_release, lambda: self.now)
        self.held = {}  # attempt -> arguments, and the manager that has it
        self.done = {}
        self.managers = {}
        self.made = iter(range(10**6))
        self.to_driver, self.to_relay = deque(), deque()
        self.new_relay()
        self.new_manager()

    def new_relay(self):
        store = BlobStore(Path(self.folder.name) / "blobs", most_in_memory=3 * 2**20)
        self.relay = BulkRelay(store, self.on_relay_sends)

    def new_manager(self):
        manager = ManagerNode(next(self.made))
        self.managers[manager.id] = manager

    def on_relay_sends(self, to):
        if to.manager in self.managers:
            self.managers[to.manager].from_relay.append((to.message, to.data))

    def on_release(self, release):
        """A control message: it keeps its place on the driver's line, and is never lost."""
        self.to_relay.append((release, None))

    def relay_releases(self, release):
        self.relay.on_released(release.source, release.blobs)
        if release.source in self.managers:
            self.managers[release.source].results.release(release.blobs)

    # What happens

    @rule(arguments=st.lists(st.integers(0, len(CONTENTS) - 1), min_size=1, max_size=2), data=st.data())
    def submit(self, arguments, data):
        self.assign(next(self.numbers), 0, arguments, data.draw(st.sampled_from(sorted(self.managers))))

    def assign(self, number, attempt, arguments, manager):
        frames = (b"body", *(CONTENTS[n] for n in arguments))
        task = msg.Task(number, b"f", b"", frames=len(frames), attempt=attempt)
        _, parcel = self.driver.packed((None, (task, frames)))
        assert sum(map(len, parcel[1])) < 100
        self.held[number] = (attempt, arguments, manager, parcel)
        self.relay.on_tasks([parcel])
        node = self.managers[manager]
        whole = node.tasks.hold((msg.Task(number, b"f", b"", attempt=attempt, blobs=parcel[0].blobs), parcel[1]))
        if whole is not None:
            node.running[number] = whole

    @precondition(lambda self: any(node.running for node in self.managers.values()))
    @rule(value=st.integers(0, len(CONTENTS) - 1), data=st.data())
    def task_ends(self, value, data):
        node = data.draw(st.sampled_from([node for node in self.managers.values() if node.running]))
        self.end_task(node, value)

    def end_task(self, node, value):
        number, (task, frames) = node.running.popitem()
        node.tasks.release([(number, task.attempt)])
        if number not in self.held or self.held[number][0] != task.attempt:
            return
        parts = [b"".join(getattr(frame, "pieces", [frame])) for frame in frames]
        assert parts == [b"body", *(CONTENTS[n] for n in self.held[number][1])]
        result = msg.Result(number, ResultKind.VALUE, b"", frames=2, attempt=task.attempt)
        self.done[number] = value
        self.handle(self.driver.on_results([node.results.offer((result, (b"", CONTENTS[value])), 0.0)]))

    def handle(self, ended):
        for result, frames in ended.parcels:
            assert list(frames) == [b"", CONTENTS[self.done[result.id]]]
            self.end(result.id)
        for failure in ended.failures:
            self.run_again(failure.task)

    def end(self, number):
        attempt, *_ = self.held.pop(number)
        self.driver.release([(number, attempt)])

    def run_again(self, number):
        attempt, arguments, *_ = self.held[number]
        self.done.pop(number, None)
        self.end(number)
        self.assign(number, attempt + 1, arguments, next(iter(self.managers)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def cancel(self, data):
        number = data.draw(st.sampled_from(sorted(self.held)))
        attempt, _, manager, _ = self.held[number]
        self.driver.cancel([number])
        self.end(number)
        node = self.managers[manager]
        for task in node.tasks.remove({number: attempt}):
            node.tasks.release([(task.id, task.attempt)])

    @rule(data=st.data())
    def manager_is_killed(self, data):
        gone = data.draw(st.sampled_from(sorted(self.managers)))
        del self.managers[gone]
        self.new_manager()
        self.relay.on_manager_gone(gone)
        lost = {failure.task for failure in self.driver.on_manager_lost(gone, "it was killed")}
        for number in lost | {number for number, (_, _, manager, _) in self.held.items() if manager == gone}:
            self.run_again(number)

    @rule()
    def manager_joins(self):
        if len(self.managers) < 3:
            self.new_manager()

    @rule()
    def interchange_is_restarted(self):
        self.relay._store.clear()
        self.new_relay()
        self.line_breaks()
        for node in self.managers.values():
            node.from_relay.clear()
            node.to_relay.clear()
        self.relay.on_tasks([held[3] for held in self.held.values()])

    @rule()
    def line_breaks(self):
        self.to_driver.clear()
        self.to_relay = deque(entry for entry in self.to_relay if isinstance(entry[0], Release))
        self.driver.on_new_line(is_local=False)
        self.relay.on_new_driver_line()

    @rule(data=st.data())
    def connection_of_a_manager_breaks(self, data):
        node = self.managers[data.draw(st.sampled_from(sorted(self.managers)))]
        node.from_relay.clear()
        node.to_relay.clear()
        if data.draw(st.booleans()):
            node.tasks.on_connected(is_local=False)

    @rule(seconds=st.floats(0.0, 5.0))
    def time_passes(self, seconds):
        self.now += seconds
        if self.now >= self.driver.next_deadline:
            self.driver.on_tick()
        if self.now >= self.relay.next_deadline:
            self.relay.on_tick(self.now)
        for node in self.managers.values():
            if self.now >= node.tasks.next_deadline:
                node.tasks.on_tick(self.now)

    @rule(count=st.integers(1, 40), losses=st.sets(st.integers(0, 60), max_size=3))
    def pieces_travel(self, count, losses):
        for turn in range(count):
            for node in list(self.managers.values()):
                node.to_relay.extend((want, None) for want in node.tasks.next_wants(self.now))
            if frames := self.driver.next_message():
                self.to_relay.append((decode_bulk(frames[0]), *frames[1:]))
            if (message := self.relay.next_for_driver(self.now)) is not None:
                self.to_driver.append(message)
            self.arrive(is_lost=turn in losses)

    def arrive(self, *, is_lost=False):
        for node in list(self.managers.values()):
            if node.to_relay:
                message, data = node.to_relay.popleft()
                if not is_lost:
                    self.relay.on_manager_message(node.id, message, data)
            if node.from_relay:
                message, data = node.from_relay.popleft()
                if not is_lost:
                    self.manager_receives(node, message, data)
        if self.to_relay:
            message, *data = self.to_relay.popleft()
            if isinstance(message, Release):
                self.relay_releases(message)
            else:
                self.relay.on_driver_message(message, data[0] if data else None, self.now)
        if self.to_driver:
            message, data = self.to_driver.popleft()
            self.handle(self.driver.on_message(message, [] if data is None else [data]))

    def manager_receives(self, node, message, data):
        if isinstance(message, Want):
            node.to_relay.append(node.results.on_want(message, 0.0))
        elif isinstance(message, Gone):
            node.tasks.on_gone(message)
        else:
            assert isinstance(message, Chunk)
            node.tasks.on_chunk(message, data, self.now)
        for whole in node.tasks.take_complete():
            node.running[whole[0].id] = whole
        for lost in node.tasks.take_lost():
            held = self.held.get(lost.task.id)
            assert held is None or held[0] != lost.task.attempt, lost.reason
            node.tasks.release([(lost.task.id, lost.task.attempt)])

    def teardown(self):
        """What is left ends well once nothing is lost any more, and nothing is kept."""
        try:
            for _ in range(3000):
                self.pieces_travel(5, set())
                while running := [node for node in self.managers.values() if node.running]:
                    self.end_task(running[0], 0)
                if not self.held:
                    break
                self.time_passes(0.3)
            assert not self.held
            for _ in range(200):
                self.pieces_travel(1, set())
            assert len(self.driver) == len(self.relay) == 0
            store = self.relay._store
            assert (len(store), store.bytes_in_memory, store.bytes_on_disk) == (0, 0, 0)
            for node in self.managers.values():
                assert len(node.tasks) == node.tasks._cache.in_use == len(node.results) == node.results.kept_bytes == 0
                assert not node.tasks._incoming
                assert node.tasks._cache.unused_bytes <= LIMIT
        finally:
            self.folder.cleanup()


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
