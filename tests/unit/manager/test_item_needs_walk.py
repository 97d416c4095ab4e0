"""Whatever happens to contents and tasks, in any order: no task is forgotten, and nothing is used that nobody needs."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.manager.items.needs import Drop, Evict, ItemNeeds, MakeEmpty, Pin, Unpin
from cnflow.manager.items.waiting import WaitingForItems
from cnflow.model.item import Item
from cnflow.wire.bulk import Chunk, Gone
from cnflow.wire.messages import Task

ME = b"me"
KEYS = [bytes([number]) * 16 for number in range(4)]
SIZES = [0, 10, 3000, 300_000]
SOURCES = [b"", b"other", ME]


def item(key, source):
    return Item(KEYS[key] + source.ljust(8, b"-"), SIZES[key], source=source)


class Node:
    """Files of a node, as their thread handles them: one request after the other, with reports that come later."""

    def __init__(self):
        self.stored = set()
        self.pinned = set()
        self.partial = {}
        self.jobs = []
        self.reports = []

    def work(self):
        job = self.jobs.pop(0)
        if isinstance(job, Pin):
            self._report_pin(job.key)
        elif isinstance(job, Unpin):
            self.pinned.discard(job.key)
        elif isinstance(job, MakeEmpty):
            self._store(job.key)
        elif isinstance(job, Drop):
            self.partial.pop(job.key, None)
        elif isinstance(job, Evict):
            self.stored &= self.pinned
        else:
            self._write(job)

    def _report_pin(self, key):
        if key in self.stored:
            self.pinned.add(key)
        self.reports.append(("found" if key in self.stored else "missing", key))

    def _store(self, key):
        self.partial.pop(key, None)
        self.stored.add(key)
        self.pinned.add(key)
        self.reports.append(("stored", key))

    def _write(self, write):
        if write.offset == 0:
            self.partial[write.key] = 0
        if self.partial.get(write.key) == write.offset:
            self.partial[write.key] += write.skipped  # the walk puts the number of bytes there
            if self.partial[write.key] == write.size:
                self._store(write.key)


class Walk(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.needs = ItemNeeds()
        self.tasks = WaitingForItems(self.needs, ME)
        self.node = Node()
        self.now = 0.0
        self.number = 0
        self.waiting = set()
        self.running = set()
        self.wants = []

    def _order(self):
        self.node.jobs += self.needs.take_orders()

    def _settle(self):
        self.tasks.settle()
        for task, _ in self.tasks.take_complete():
            assert all(each.key in self.node.pinned for each in task.items)
            self.waiting.remove(task.id)
            self.running.add(task.id)
        lost = [each.task.id for each in self.tasks.take_lost()]
        self.waiting -= set(lost)
        self.tasks.release([(task, 0) for task in lost])
        self._order()

    @rule(parts=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(SOURCES)), min_size=1, max_size=3))
    def task_comes(self, parts):
        self.number += 1
        task = Task(self.number, b"f", b"", items=tuple(item(key, source) for key, source in parts))
        if self.tasks.hold((task, ())) is None:
            self.waiting.add(self.number)
        else:
            self.running.add(self.number)
        self._settle()

    @rule()
    def task_ends(self):
        if self.running:
            self.tasks.release([(self.running.pop(), 0)])
            self._order()

    @rule()
    def task_is_cancelled(self):
        if self.waiting:
            task = min(self.waiting)
            assert [each.id for each in self.tasks.remove({task: 0})] == [task]
            self.waiting.remove(task)
            self.tasks.release([(task, 0)])
            self._order()

    @rule(count=st.integers(1, 4))
    def files_are_handled(self, count):
        for _ in range(count):
            if self.node.jobs:
                self.node.work()

    @rule()
    def report_comes(self):
        if self.node.reports:
            kind, key = self.node.reports.pop(0)
            getattr(self.needs, f"on_{kind}")(key)
            self._settle()

    @rule(key=st.integers(0, 3))
    def storing_fails(self, key):
        if KEYS[key] in self.node.partial:
            del self.node.partial[KEYS[key]]
            self.needs.on_failed(KEYS[key], "no room")
            self._settle()

    @rule(seconds=st.floats(0.0, 20.0))
    def time_passes(self, seconds):
        self.now += seconds
        self.needs.on_tick(self.now)

    @rule()
    def bytes_are_asked_for(self):
        self.wants += self.needs.next_wants(self.now)

    @rule(is_gone=st.booleans(), is_lost=st.booleans())
    def source_replies(self, is_gone, is_lost):
        if not self.wants:
            return
        want = self.wants.pop(0)
        if is_lost or not self.needs.awaits(want.blob):
            return
        if is_gone:
            self.needs.on_gone(Gone(want.blob, want.source, "gone"))
        else:
            write = self.needs.on_chunk(Chunk(want.blob, want.source, want.offset), want.length, self.now)
            if write is not None:
                self.node.jobs.append(write._replace(skipped=want.length - write.skipped))
        self._settle()

    @rule()
    def line_is_new(self):
        self.wants.clear()
        self.needs.on_connected(is_local=False)

    @invariant()
    def every_task_is_in_one_place(self):
        assert {task.id for task, _ in self.tasks.parcels()} == self.waiting

    @invariant()
    def nothing_is_used_without_a_task(self):
        if not (self.waiting or self.running):
            assert (len(self.needs), self.needs.next_wants(self.now)) == (0, [])

    def teardown(self):
        """Let everything arrive: each task runs, or is lost; then all of them end, and nothing is pinned."""
        for _ in range(2000):
            if not self.waiting:
                break
            self.now += 16.0
            self.needs.on_tick(self.now)
            self.bytes_are_asked_for()
            while self.wants:
                self.source_replies(is_gone=False, is_lost=False)
            while self.node.jobs:
                self.node.work()
            while self.node.reports:
                self.report_comes()
        assert not self.waiting
        while self.running:
            self.task_ends()
        while self.node.jobs or self.node.reports:
            while self.node.jobs:
                self.node.work()
            while self.node.reports:
                self.report_comes()
        assert (len(self.needs), self.node.pinned, self.node.partial) == (0, set(), {})


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
