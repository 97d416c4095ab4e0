"""Random walks through the scheduler: any mix of tasks, nodes, ends of blocks, cancellations and drains.

After each event: no node is over-booked, no task is sent where its walltime cannot end, each task is in one place, and
no free node fits a task that is the next one for it. At the end, every task that some node fits has run.
"""

import math
import random

import pytest

from cnflow.interchange.actions import ReportManagerDown, SendCancel, SendDrain, SendResults, SendWork
from cnflow.interchange.state import Interchange
from cnflow.wire.manager_messages import ManagerInfo, Needs, Node
from cnflow.wire.messages import Function, Result, Task
from cnflow.wire.pipe import ResultKind

FUNCTIONS = [Function(bytes([n]) * 16, f"f{n}", 0, "", b"") for n in range(3)]
SHAPES = [(1, 1.0), (2, 2.0), (4, 4.0), (2, 8.0)]
LIFE = 1000.0


class World:
    """The state of the interchange, and what a driver and managers know."""

    def __init__(self, seed, *, has_lives):
        self.rng = random.Random(seed)
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
            task = Task(number, rng.choice(FUNCTIONS).id, b"", needs=needs, walltime=walltime)
            self.tasks[number] = task
            tasks.append((task, ()))
        self.waiting |= {task.id for task, _ in tasks}
        self.apply(self.state.on_submitted(FUNCTIONS, tasks, may_have_needs=True))

    def start(self, shape=None):
        slots, cores = shape or self.rng.choice(SHAPES)
        manager = b"m%d" % self.started_blocks
        life = LIFE * self.rng.uniform(0.9, 1.0) if self.has_lives else math.inf
        node = Node(cores=cores, worker_cores=1.0, life=life)
        self.held[manager], self.cores[manager], self.slots[manager] = set(), cores, slots
        self.ends_at[manager] = self.now + life
        info = ManagerInfo(1, "0", "3.11", "host", str(self.started_blocks), "", slots, 1, "", node)
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
        results = [(Result(number, ResultKind.VALUE, b"", seconds), ()) for number in ids]
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

    @staticmethod
    def is_reserved_from(group, reserved, manager):
        return manager in reserved and reserved[manager].sort_key < group.sort_key

    def settle(self):
        """Let all that can run do so, on fresh nodes of every shape that there may have been."""
        for shape in SHAPES:
            self.start(shape)
        for _ in range(4 * len(self.tasks) + 20):
            self.dispatch()
            if not self.waiting and not any(self.held.values()):
                return
            for manager in sorted(self.held):
                if self.held[manager]:
                    self.end(manager, sorted(self.held[manager]))
            self.dispatch()
            for manager in sorted(self.held):
                if not self.held[manager] and (manager in self.draining or self.has_lives):
                    self.leave(manager)
            if len(self.held) < len(SHAPES) or self.has_lives:
                for shape in SHAPES:
                    self.start(shape)
        raise AssertionError(f"these tasks starve: {[self.tasks[number] for number in sorted(self.waiting)][:5]}")


@pytest.mark.parametrize("has_lives", [False, True])
def test_random_events_leave_no_task_behind_and_no_node_over_booked(has_lives):
    for seed in range(60):
        world = World(seed, has_lives=has_lives)
        try:
            events = [world.submit] * 5 + [world.finish] * 8 + [world.cancel] * 2 + [world.start] * 2
            events += [world.leave, world.drain, world.wait, world.wait]
            for _ in range(80):
                world.rng.choice(events)()
                world.dispatch()
            world.settle()
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error}") from error
