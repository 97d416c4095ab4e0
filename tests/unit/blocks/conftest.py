"""A controller on a provider and an interchange in memory: as a thread, and turn by turn on a clock of the test."""

import random
import threading
from pathlib import Path

import pytest

from cnflow.blocks import BlockController, Callbacks, Demand, Scaling, make_blocks
from cnflow.blocks.inbox import Inbox
from cnflow.blocks.parts import Parts
from cnflow.clock import SystemClock
from cnflow.ids import RunId
from cnflow.model.block import BlockRequest
from cnflow.model.image import NO_IMAGE
from cnflow.model.manager_settings import ManagerSettings
from cnflow.testing import FakeClock, FakeProvider, FakeProviderSettings, FakeSystem


class StepLane:
    """Makes each call at once, in the controller's thread; while `is_held`, when the test says so."""

    def __init__(self, kind):
        self.kind = kind
        self.is_held = False
        self.held = []
        self.then = None

    def run(self, work):
        if self.is_held:
            self.held.append(work)
            assert len(self.held) == 1 or self.kind == "logs", f"two calls overlap: {self.kind}"
        else:
            work()

    def release(self):
        self.is_held = False
        held, self.held = self.held, []
        for work in held:
            work()
        if self.then is not None:
            self.then()

    def end(self, then):
        if self.held:
            self.then = then
        else:
            then()


class ClockInbox(Inbox):
    """Queue whose waiting lets the time of a `FakeClock` pass."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def get(self, seconds):
        if self.is_empty and seconds > 0:
            self.clock.advance(seconds)
        return super().get(0.0)


class Setting:
    """A controller with what is around it."""

    def __init__(self, folder, clock=None, max_idletime=120.0, wrap=None, **options):
        self.folder = Path(folder)
        self.settings = FakeProviderSettings(**{"init_blocks": 0, "max_blocks": 4, "poll_period": 600.0, **options})
        self.system = FakeSystem(clock)
        self.provider = FakeProvider(self.settings, self.system)
        seen = wrap(self.provider) if wrap else self.provider
        self.tasks = 0
        self.submits = 0
        self.finished = 0
        self.reports = []
        self.errors = []
        self.forgotten = []
        blocks = make_blocks(
            "htex",
            self.settings,
            Scaling("simple", max_idletime),
            slots_per_node=1,
            chance=random.Random(1),
        )
        callbacks = Callbacks(
            demand=lambda: Demand(self.tasks, self.submits, self.finished, self.tasks),
            make_requests=lambda batch: [self.request(block) for block in batch],
            drain=self.drain,
            report_end=lambda block, reason: self.reports.append((block, reason)),
            forget=self.forgotten.append,
            request_idle_times=lambda: None,
            give_up=self.give_up,
        )
        self.clock = clock or SystemClock()
        self.lanes = {}
        parts = Parts(clock, self.make_lane, ClockInbox(clock)) if clock else None
        self.controller = BlockController(blocks, seen, self.settings.traits(), callbacks, parts)
        self.thread = threading.Thread(target=self.controller.run)

    def make_lane(self, kind):
        self.lanes[kind] = StepLane(kind)
        return self.lanes[kind]

    def request(self, block):
        manager = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block=block)
        return BlockRequest(RunId("r"), "htex", block, NO_IMAGE, manager, self.folder / f"{block}.log")

    def drain(self, block):
        self.system.record("drain", block)
        self.controller.on_drained(block)

    def give_up(self, error):
        self.errors.append(error)
        self.system.notify()

    def want(self, tasks):
        self.tasks = tasks
        self.submits += 1
        if tasks > self.controller.enough_for:
            self.controller.wake()

    def submitted(self):
        return self.system.blocks_of("submit")

    def wait_for(self, condition):
        self.system.wait_for(condition)

    def polls(self):
        return self.system.calls.count(("status", ""))

    def turn(self, after=0.0):
        self.clock.advance(after)
        self.controller.take_turn()

    def lose_a_submission(self, tasks=1):
        self.system.loses_answers = True
        self.want(tasks)
        self.turn()
        self.system.loses_answers = False

    def run_turns(self, after, end):
        """Take turns until one raises; the block *end* ends in between."""
        for _ in range(3):
            self.turn(after)
            if end:
                self.system.end(end)

    def end_run_after_error(self):
        self.controller.stop()
        self.controller.run()

    def end_run(self):
        self.controller.stop()
        self.controller.run()


@pytest.fixture
def setting(tmp_path):
    """Runs a controller in its thread, and sees that it leaves no block."""
    made = []

    def make(**options):
        made.append(Setting(tmp_path, **options))
        made[0].thread.start()
        return made[0]

    yield make
    made[0].controller.stop()
    made[0].thread.join(20)
    assert not made[0].thread.is_alive()
    assert made[0].system.blocks == {}, "a block was left behind"


@pytest.fixture
def turns(tmp_path):
    """Makes a controller that takes a turn when the test says so, at the time that the test says."""
    return lambda **options: Setting(tmp_path, FakeClock(), **{"poll_period": 10.0, **options})
