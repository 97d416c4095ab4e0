"""Random walks through the scheduler: any mix of tasks, nodes, ends of blocks, cancellations and drains.

After each event: no node is over-booked, no task is sent where its walltime cannot end, each task is in one place, and
no free node fits a task that is the next one for it, unless the task waits for the node of its data, and not for longer
than the data takes to move. At the end, every task that some node fits has run, and nothing is known of data any more.
"""

import itertools
import math
import random

import pytest

from cnflow.interchange.actions import ReportManagerDown, SendCancel, SendDrain, SendResults, SendWork
from cnflow.interchange.scheduler.data_queue import BYTES_PER_SECOND
from cnflow.interchange.state import Interchange
from cnflow.model.item import Item
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTIONS = [Function(bytes([n]) * 16, f"f{n}", 0, "", b"") for n in range(3)]
SHAPES = [(1, 1.0), (2, 2.0), (4, 4.0), (2, 8.0)]
LIFE = 1000.0


class World:
    """The state of the interchange, and what a driver and managers know."""

    def __init__(self, seed, *, has_lives, has_items=False):
        self.rng = random.Random(seed)
        self.has_items = has_items
        self.items = {}
        self.has_lives = has_lives
        self.state = Interchange(1, 10, 1e9)
        self.now = 0.0
        self.tasks, self.waiting, self.ended = {}, set(), {}
        self.held, self.cores, self.slots, self.ends_at = {}, {}, {}, {}
        self.started_blocks = 0
        self.ran = set()

    def apply(self, actions):
        for action in actions:
            if isinstance(action, SendWork):
                for task, _ in action.tasks:
                    self.waiting.remove(task.id)
                    self.held[action.manager].add(task.id)
                    assert self.now + task.walltime <= self.ends_at[action.manager] or not task.walltime
            elif isinstance(action, SendResults):
                for result, _ in action.results:
                    assert result.id not in self.ended, "a task ended twice"
                    self.ended[result.id] = result.kind
                    self.waiting.discard(result.id)
            elif isinstance(action, ReportManagerDown):
                assert self.held.pop(action.manager) == set(action.lost)
                for number in action.lost:
                    self.ended[number] = "lost"
            elif isinstance(action, SendDrain):
                self.draining.add(action.manager)
            else:
                assert not isinstance(action, SendCancel) or set(action.tasks) <= self.held[action.manager]

    draining = property(lambda self: self.__dict__.setdefault("_draining", set()))

    def dispatch(self):
        self.apply(self.state.dispatch(self.now))
        self.check()

    def submit(self):
        rng = self.rng
        tasks = []
        for _ in range(rng.randint(1, 6)):
            number = len(self.tasks)
            needs = None
            if rng.random() < 0.6:
                priority = rng.choice([math.inf, math.inf, 0.0, 1.0, rng.random()])
                needs = Needs(rng.choice([-1.0, 0.5, 1.0, 2.0, 4.0, 8.0]), priority=priority)
            walltime = rng.choice([0.0, 0.0, rng.uniform(1.0, 1100.0)]) if self.has_lives else 0.0
            items = self.some_items() if self.has_items and rng.random() < 0.6 else ()
            task = Task(number, rng.choice(FUNCTIONS).id, b"", needs=needs, walltime=walltime, items=items)
            self.tasks[number] = task
            tasks.append((task, ()))
        self.waiting |= {task.id for task, _ in tasks}
        self.apply(self.state.on_submitted(FUNCTIONS, tasks, may_have_needs=True))

    def some_items(self):
        """Items of the driver, of managers that may be gone, or left by tasks."""
        rng = self.rng
        for _ in range(rng.randint(1, 3)):
            number = rng.randrange(10)
            source = rng.choice([b"", *sorted(self.held)])
            self.add(Item(b"%016d" % number + b"%08d" % len(self.items), 10**8 * (number + 1), source=source))
        return tuple(rng.sample(sorted(self.items.values()), min(3, len(self.items))))

    def add(self, item):
        self.items[item.id] = item

    def release(self):
        """Release an item that no task needs."""
        needed = {item.id for number in self.waiting for item in self.tasks[number].items}
        free = sorted(self.items.keys() - needed)
        if free:
            blob = self.rng.choice(free)
            del self.items[blob]
            self.state.places.release([blob])

    def start(self, shape=None):
        slots, cores = shape or self.rng.choice(SHAPES)
        manager = b"m%d" % self.started_blocks
        life = LIFE * self.rng.uniform(0.9, 1.0) if self.has_lives else math.inf
        node = Node(cores=cores, worker_cores=1.0, life=life)
        self.held[manager], self.cores[manager], self.slots[manager] = set(), cores, slots
        self.ends_at[manager] = self.now + life
        info = ManagerInfo(
            1, "0", "3.11", f"host{self.started_blocks % 7}", str(self.started_blocks), "", slots, 1, "", node
        )
        self.started_blocks += 1
        self.state.on_admitted(info.block)
        self.apply(self.state.on_registered(manager, info, self.now))
        self.apply(self.state.on_results(manager, slots, [], self.now))

    def finish(self):
        busy = [manager for manager, ids in self.held.items() if ids]
        if busy:
            manager = self.rng.choice(busy)
            ids = self.rng.sample(sorted(self.held[manager]), self.rng.randint(1, min(2, len(self.held[manager]))))
            self.end(manager, ids)

    def end(self, manager, ids):
        self.held[manager] -= set(ids)
        self.ran |= set(ids)
        seconds = self.rng.choice([1.0, 5.0, 300.0])
        left = {}
        for number in ids if self.has_items else ():
            left[number] = Item(b"%016d" % (number % 10) + b"%08d" % (10**6 + number), 10**8, source=manager)
            self.add(left[number])
        items = {number: (item,) for number, item in left.items()}
        results = [(Result(number, ResultKind.VALUE, b"", seconds, items=items.get(number, ())), ()) for number in ids]
        self.apply(self.state.on_results(manager, self.slots[manager], results, self.now))

    def cancel(self):
        if self.tasks:
            number = self.rng.randrange(len(self.tasks))
            self.apply(self.state.on_cancelled({number: 0}, self.now))

    def leave(self, manager=None):
        if self.held:
            manager = manager or self.rng.choice(sorted(self.held))
            self.draining.discard(manager)
            self.apply(self.state.on_manager_left(manager, "left"))

    def drain(self):
        if self.held and self.rng.random() < 0.3:
            self.apply(self.state.on_draining(self.rng.choice(sorted(self.held)), self.now))

    def wait(self):
        self.now += self.rng.choice([1.0, 30.0, 200.0])
        for manager in [manager for manager, ends_at in self.ends_at.items() if ends_at <= self.now]:
            del self.ends_at[manager]
            if manager in self.held:
                self.leave(manager)
        self.apply(self.state.on_tick(self.now))

    def cores_of(self, number):
        needs = self.tasks[number].needs
        return 1.0 if needs is None or needs.cores < 0 else needs.cores

    def free_cores(self, manager):
        return self.cores[manager] - sum(map(self.cores_of, self.held[manager]))

    def fits_now(self, task, manager):
        record, deadlines = self.state._managers[manager], self.state._scheduler.deadlines
        return (
            record.is_active
            and len(self.held[manager]) < self.slots[manager]
            and self.cores_of(task.id) <= self.free_cores(manager)
            and deadlines.is_in_time(task, self.ends_at[manager] - self.now, record.info.node.life)
        )

    def check(self):
        scheduler = self.state._scheduler
        for manager, ids in self.held.items():
            assert set(self.state._managers[manager].held) == ids
            assert self.free_cores(manager) >= -1e-5, f"{manager} is over-booked"
            assert len(ids) <= self.slots[manager]
        assert len(self.state._queue) + len(scheduler) == len(self.waiting)
        reserved = scheduler._reservations._groups
        for group in scheduler._groups:
            task = group.head[0]
            found = [m for m in self.held if self.fits_now(task, m) and not self.is_reserved_from(group, reserved, m)]
            assert not found, f"{task} waits, and fits {found}"
        for task, _ in self.state._queue.heads():
            found = [manager for manager in self.held if self.fits_now(task, manager) and manager not in reserved]
            assert not found, f"{task} waits, and fits {found}"

        for task, _ in itertools.islice(self.state.data, 100):
            found = [manager for manager in self.held if self.fits_now(task, manager) and manager not in reserved]
            wait = self.state.data.status(task.id, self.now)
            assert wait is not None or not found, f"{task} waits, and fits {found}"
            if wait is not None:
                assert wait.manager in self.held
                assert wait.manager not in self.draining
                assert 0 < wait.seconds <= sum(item.size for item in task.items) / BYTES_PER_SECOND
                assert self.now < self.state.data.next_deadline <= self.now + wait.seconds + 1e-6

    @staticmethod
    def is_reserved_from(group, reserved, manager):
        return manager in reserved and reserved[manager].sort_key < group.sort_key

    def settle(self):
        """Let all that can run do so, on fresh nodes of every shape that there may have been."""
        self.start_all()
        for _ in range(4 * len(self.tasks) + 20):
            self.dispatch()
            if not self.waiting and not any(self.held.values()):
                break
            if not any(self.held.values()) and self.state.data.next_deadline < math.inf:
                self.now = self.state.data.next_deadline
                continue
            self.end_all()
        else:
            raise AssertionError(f"these tasks starve: {[self.tasks[number] for number in sorted(self.waiting)][:5]}")
        while self.items:
            self.release()
        assert len(self.state.places) == 0

    def start_all(self):
        for shape in SHAPES:
            self.start(shape)

    def end_all(self):
        """End what runs, and replace the nodes that are empty and draining, or about to end."""
        for manager in sorted(self.held):
            if self.held[manager]:
                self.end(manager, sorted(self.held[manager]))
        self.dispatch()
        for manager in sorted(self.held):
            if not self.held[manager] and (manager in self.draining or self.has_lives):
                self.leave(manager)
        if len(self.held) < len(SHAPES) or self.has_lives:
            self.start_all()


@pytest.mark.parametrize("has_items", [False, True])
@pytest.mark.parametrize("has_lives", [False, True])
def test_random_events_leave_no_task_behind_and_no_node_over_booked(has_lives, has_items):
    for seed in range(60):
        world = World(seed, has_lives=has_lives, has_items=has_items)
        try:
            events = [world.submit] * 5 + [world.finish] * 8 + [world.cancel] * 2 + [world.start] * 2
            events += [world.leave, world.drain, world.wait, world.wait]
            events += [world.release] * 3 if has_items else []
            for _ in range(80):
                world.rng.choice(events)()
                world.dispatch()
            world.settle()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
