"""A controller on a provider and an interchange in memory: as a thread, and turn by turn on a clock of the test."""

import random
import threading
import time
from pathlib import Path

import pytest

from cnflow.blocks import BlockController, Callbacks, Scaling, make_blocks
from cnflow.clock import SystemClock
from cnflow.ids import RunId
from cnflow.model.block import BlockRequest
from cnflow.model.manager_settings import ManagerSettings
from cnflow.testing import FakeClock, FakeProvider, FakeProviderSettings, FakeSystem


class Setting:
    """A controller with what is around it."""

    def __init__(self, folder, clock=None, max_idletime=120.0, **options):
        self.folder = Path(folder)
        self.settings = FakeProviderSettings(**{"init_blocks": 0, "max_blocks": 4, "poll_period": 600.0, **options})
        self.system = FakeSystem(clock)
        self.provider = FakeProvider(self.settings, self.system)
        self.tasks = 0
        self.submits = 0
        self.reports = []
        self.errors = []
        blocks = make_blocks(
            "htex",
            self.settings,
            Scaling("simple", max_idletime),
            slots_per_node=1,
            chance=random.Random(1),
        )
        callbacks = Callbacks(
            demand=lambda: (self.tasks, self.submits),
            make_request=self.request,
            drain=self.drain,
            forget_block=lambda block, reason: self.reports.append((block, reason)),
            request_idle_times=lambda: None,
            give_up=self.give_up,
        )
        self.clock = clock or SystemClock()
        pause = clock.advance if clock else time.sleep
        self.controller = BlockController(blocks, self.provider, self.settings.traits(), callbacks, self.clock, pause)
        self.thread = threading.Thread(target=self.controller.run)

    def request(self, block):
        manager = ManagerSettings(hosts=(), endpoint="ipc://x", executor="htex", block=block)
        return BlockRequest(RunId("r"), "htex", block, "", manager, self.folder / f"{block}.log")

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
