"""The world of `walks` as a state machine of Hypothesis, which shortens a walk that fails to the steps that matter."""

import logging
import math
import sys
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

sys.path.insert(0, str(Path(__file__).parent))

from walks import MAX_TASKS, NEEDS, Kind, World

RANDOM = st.randoms(use_true_random=False)
"""Choices of Hypothesis behind the interface of `random.Random`, so that they are shortened, too."""


class Executor(RuleBasedStateMachine):
    """Driver, interchange and managers, with everything that may happen to them."""

    @initialize(chance=RANDOM, life=st.sampled_from([math.inf, 400.0]))
    def begin(self, chance, life):
        logging.disable(logging.CRITICAL)
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(0, self.folder.name, restarts=3, life=life)
        self.world.rng = chance

    def living(self):
        return [node for node in self.world.nodes.values() if node.is_alive]

    @precondition(lambda self: len(self.world.driver.needs) < MAX_TASKS)
    @rule(needs=st.sampled_from(NEEDS))
    def submit_task(self, needs):
        self.world.driver.submit(needs)

    @precondition(lambda self: self.world.driver.held)
    @rule(data=st.data())
    def cancel_task(self, data):
        self.world.driver.cancel(data.draw(st.sampled_from(sorted(self.world.driver.held))))

    @rule()
    def start_block(self):
        self.world.start_block()

    @rule(messages=st.integers(1, 40))
    def deliver_messages(self, messages):
        for _ in range(messages):
            self.world.deliver_one()

    @precondition(lambda self: self.living())
    @rule(data=st.data(), kind=st.sampled_from([Kind.VALUE, Kind.VALUE, Kind.RAISED, None]))
    def let_a_worker_work(self, data, kind):
        data.draw(st.sampled_from(self.living())).work(self.world.rng, kind)

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def end_a_node_or_block(self, data):
        self.world.end_something(data.draw(st.sampled_from(self.living())))

    @precondition(lambda self: self.living())
    @rule()
    def break_or_make_a_connection(self):
        self.world.connect_or_break(self.living())

    @rule(seconds=st.sampled_from([1.0, 2.0, 6.0]))
    def pass_time(self, seconds):
        self.world.pass_time(seconds)

    @precondition(lambda self: self.world.restarts_left)
    @rule()
    def kill_the_interchange(self):
        self.world.kill_interchange()

    @invariant()
    def no_node_is_overbooked(self):
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self):
        if hasattr(self, "world"):
            try:
                self.world.finish()
            finally:
                logging.disable(logging.NOTSET)
                self.folder.cleanup()


TestExecutor = pytest.mark.timeout(600)(Executor.TestCase)
TestExecutor.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
