"""Thousands of blocks of three providers under one budget: their state machines and the meter, without sockets."""

import random
import time
from collections import Counter

from cnflow.blocks import Demand, Scaling, make_blocks
from cnflow.blocks.actions import OrderDrain, Remove
from cnflow.budget.amounts import Billing, Limit, Terms
from cnflow.budget.spending import Spending
from cnflow.executors.high_throughput.metering import BlockMeter
from cnflow.model.block import BlockState, BlockStatus
from cnflow.model.machine import Rate
from cnflow.testing import FakeClock, FakeProviderSettings

STEP = 5.0
PRICES = {"dear": 1.2, "usual": 0.4, "cheap": 0.1}
BOOT, SHUTDOWN = 60.0, 30.0


class Member:
    """A provider whose machines boot, run, and are paid until their shutdown is over."""

    def __init__(self, spending, name, most):
        self.usd = PRICES[name] / 3600
        billing = Billing(Rate(PRICES[name], 4), BOOT, SHUTDOWN, 60.0, STEP, is_queue_free=False)
        self.meter = BlockMeter(spending.open_account(name, billing))
        settings = FakeProviderSettings(init_blocks=0, max_blocks=most, startup_timeout=1e9)
        scaling = Scaling("simple", 1e9)
        self.blocks = make_blocks(name, settings, scaling, slots_per_node=1, chance=random.Random(1))
        self.blocks.watch(self.meter.on_block)
        self.demand = self.meter.limit(lambda: Demand(self.tasks, self.tasks, 0, self.tasks))
        self.tasks = 10_000
        self.started = {}
        self.cost = 0.0
        self.most = 0

    def step(self, now):
        for action in self.blocks.decide(self.demand(), now):
            if isinstance(action, Remove):
                self.end(str(action.block), now)
            elif isinstance(action, OrderDrain):
                for each in self.blocks.on_drained(action.block, now):
                    if isinstance(each, Remove):
                        self.end(str(each.block), now)
        batch = self.blocks.submissions.take_batch(now)
        if batch:
            self.blocks.submissions.on_answers({block: f"n{block}" for block in batch}, now)
        for block in batch:
            self.started[block] = now
            self.blocks.on_status(block, BlockStatus(BlockState.RUNNING, rate=Rate(self.usd * 3600 * 0.9, 4)), now)
            self.blocks.on_manager_connected(block, 1, now)
        self.most = max(self.most, len(self.started))

    def end(self, block, now):
        self.cost += self.usd * 0.9 * max(60.0, now + SHUTDOWN - self.started.pop(block))

    def spent(self, now):
        return self.cost + sum(self.usd * 0.9 * (now - since) for since in self.started.values())


def test_thousands_of_blocks_of_three_providers_stay_within_one_budget(tmp_path):
    clock, limit = FakeClock(), 400.0
    spending = Spending(tmp_path, clock, Terms(Limit(usd=limit), 60.0))
    members = [Member(spending, name, 3400) for name in PRICES]
    longest, totals = 0.0, Counter()
    for _ in range(600):
        now = clock.now()
        for member in members:
            began = time.thread_time()
            member.step(now)
            longest = max(longest, time.thread_time() - began)
        true = sum(member.spent(now) for member in members)
        totals["true"] = max(totals["true"], true)
        assert true <= limit
        assert spending.report().spent.usd >= true - 1e-6
        clock.advance(STEP)
        if not any(member.started for member in members) and totals["true"]:
            break
    assert sum(member.most for member in members) >= 4_000
    assert totals["true"] > 0.5 * limit
    assert not any(member.started for member in members)
    assert longest < 5.0
