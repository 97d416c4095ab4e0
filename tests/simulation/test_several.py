"""Ten thousand blocks of three providers, without sockets: limits, order, trouble, hedges and cost of decisions."""

import heapq
import random
import time

import pytest

from cnflow.blocks import Demand
from cnflow.blocks.actions import OrderDrain, Remove
from cnflow.blocks.allowance import BlockNumbers
from cnflow.blocks.backoff import Backoff
from cnflow.blocks.block import Patience
from cnflow.blocks.callbacks import Callbacks
from cnflow.blocks.several.group import SeveralControllers
from cnflow.blocks.several.shares import Shares
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.budget.amounts import Billing, Limit, Terms
from cnflow.budget.spending import Spending
from cnflow.executors.high_throughput.metering import BlockMeter
from cnflow.model.block import BlockState, BlockStatus, Refusal, Refused
from cnflow.model.machine import Rate
from cnflow.model.traits import Traits
from cnflow.testing import FakeClock

PERIOD = 5.0
RUNNING, ENDED = BlockStatus(BlockState.RUNNING), BlockStatus(BlockState.ENDED)


def billing(price):
    return Billing(Rate(price, 1.0), startup=90.0, poll_period=PERIOD + 1.0, is_queue_free=False)


class Controller:
    """What the group asks of a controller that has no threads."""

    def __init__(self, blocks):
        self.blocks = blocks

    @property
    def living(self):
        return self.blocks.living

    def wake(self):
        pass


class Provider:
    """Blocks of one slot, which start some time after they were asked for."""

    def __init__(self, label, most, startup, chance, hedge_numbers):
        self.label, self.most, self.startup, self.chance = label, most, startup, chance
        self.blocks = Blocks(
            "htex",
            Limits(0, 0, most, 1, 1.0, 120.0),
            STRATEGIES["htex_auto_scale"],
            slots_per_node=1,
            backoff=Backoff(random.Random(1), Traits(submit_at_once=most, submits_per_second=most)),
            patience=Patience(600.0),
        )
        self.blocks.capacity.numbers = hedge_numbers
        self.controller = Controller(self.blocks)
        self.starting, self.connected, self.alive, self.refusal = [], set(), {}, None
        self.paid = self.highest = self.asked = self.withdrawn = 0


class World:
    """Tasks, and three providers on one clock."""

    def __init__(self, seed, spill_after, hedge=1, sizes=(1000, 4000, 5000), spending=None, prices=(0.0, 0.0, 0.0)):
        self.chance, self.clock = random.Random(seed), FakeClock()
        self.queued, self.running, self.finished, self.submitted, self.errors = 0, [], 0, 0, []
        callbacks = Callbacks(
            demand=self.demand,
            make_requests=lambda batch: (),
            drain=lambda block: None,
            report_end=lambda block, reason: None,
            forget=lambda block: None,
            request_idle_times=lambda: None,
            give_up=self.errors.append,
        )
        labels, numbers = ["near", "queue", "cloud"], BlockNumbers()
        self.group = SeveralControllers("htex", callbacks, Shares(spill_after, hedge), labels, self.clock)
        starts = {"near": (1, 2), "queue": (100, 900), "cloud": (40, 90)}
        self.providers = [
            Provider(label, most, starts[label], self.chance, numbers)
            for label, most in zip(labels, sizes, strict=True)
        ]
        account_of = spending(self.clock).open_account if spending else None
        for each, price in zip(self.providers, prices, strict=True):
            meter = BlockMeter(account_of(each.label, billing(price))) if account_of else None
            each.price = price
            if meter is not None:
                each.blocks.watch(meter.on_block)
            self.group.add(each.label, each.blocks, each.controller, meter.allowance if meter is not None else None)
        self.idle = {each.label: {} for each in self.providers}
        self.busy = set()
        self.decisions = self.cpu = 0.0

    def demand(self):
        tasks = self.queued + len(self.running)
        return Demand(tasks, self.submitted, self.finished, tasks)

    def submit(self, count, seconds):
        self.queued += count
        self.submitted += 1
        self.seconds = seconds

    def step(self):
        self.clock.advance(PERIOD)
        now = self.clock.now()
        while self.running and self.running[0][0] <= now:
            _, _, place, block = heapq.heappop(self.running)
            if block not in self.busy:  # it was ended with its task
                self.queued += 1
                continue
            self.finished += 1
            self.busy.discard(block)
            each = self.providers[place]
            if block in each.connected:
                self.idle[each.label][block] = now
            else:
                for then in each.blocks.on_drained(block, now):
                    self.carry_out(each, then, now)
        for place, each in enumerate(self.providers):
            self.turn(place, each, now)
        self.start_tasks(now)

    def turn(self, place, each, now):
        while each.starting and each.starting[0][0] <= now:
            _, block = heapq.heappop(each.starting)
            if each.blocks.stage(block) is not None and block in each.alive:
                each.blocks.on_status(block, RUNNING, now)
                each.blocks.on_manager_connected(block, 1, now)
                each.connected.add(block)
                self.idle[each.label][block] = now
        if each.blocks.wants_idle_times or not self.queued:
            each.blocks.on_idle_times({block: max(1e-9, now - since) for block, since in self.idle[each.label].items()})
        begin = time.process_time()
        actions = each.blocks.decide(self.group.demand_of(place), now)
        self.cpu += time.process_time() - begin
        self.decisions += 1
        batch = each.blocks.submissions.take_batch(now)
        if batch:
            each.asked += len(batch)
            answers = {block: each.refusal or f"{each.label}/{block}" for block in batch}
            accepted = () if each.refusal else batch
            for block in accepted:
                each.alive[block] = now
                heapq.heappush(each.starting, (now + self.chance.uniform(*each.startup), block))
            actions += each.blocks.submissions.on_answers(answers, now)
        for action in actions:
            self.carry_out(each, action, now)
        assert len(each.alive) <= each.most, f"{each.label} has {len(each.alive)} blocks"
        each.highest = max(each.highest, len(each.alive))
        each.paid += len(each.alive) * PERIOD

    def carry_out(self, each, action, now):
        if isinstance(action, OrderDrain):
            each.withdrawn += action.block not in each.connected
            self.idle[each.label].pop(action.block, None)
            each.connected.discard(action.block)
            if action.block not in self.busy:
                for then in each.blocks.on_drained(action.block, now):
                    self.carry_out(each, then, now)
        elif isinstance(action, Remove):
            each.alive.pop(action.block, None)
            self.busy.discard(action.block)

    def start_tasks(self, now):
        for place, each in enumerate(self.providers):
            idle = self.idle[each.label]
            while self.queued and idle:
                block, _ = idle.popitem()
                self.queued -= 1
                self.busy.add(block)
                heapq.heappush(self.running, (now + self.seconds, self.finished + self.queued, place, block))

    def run(self, longest):
        until = self.clock.now() + longest
        while (self.queued or self.running) and self.clock.now() < until:
            self.step()


def test_ten_thousand_blocks_of_three_providers_run_all_tasks_within_limits():
    world = World(1, spill_after=60)
    world.submit(12_000, 600.0)
    world.run(7200.0)
    assert (world.queued, world.finished, world.errors) == (0, 12_000, [])
    assert [each.highest for each in world.providers] == [1000, 4000, 5000]


def test_all_blocks_end_after_the_work():
    world = World(2, spill_after=60, sizes=(20, 50, 100))
    world.submit(200, 300.0)
    world.run(7200.0)
    for _ in range(100):
        world.step()
    assert [len(each.alive) for each in world.providers] == [0, 0, 0]


def test_short_tasks_stay_with_the_first_provider():
    world = World(3, spill_after=120, sizes=(50, 50, 50))
    for _ in range(20):
        world.submit(100, 5.0)
        world.run(3600.0)
    assert [each.highest > 0 for each in world.providers] == [True, False, False]


def test_blocks_come_and_go_no_faster_than_they_idle_while_the_load_swings():
    world = World(4, spill_after=60, sizes=(10, 40, 40))
    for _ in range(60):  # bursts of work, two a minute
        world.submit(40, 20.0)
        for _ in range(6):
            world.step()
    asked = sum(each.asked for each in world.providers)
    assert asked <= 2 * 90, f"{asked} blocks were asked for in 30 minutes"


def test_provider_without_room_is_passed_over_and_used_again_when_it_has_some():
    world = World(5, spill_after=600, sizes=(20, 40, 40))
    near = world.providers[0]
    near.refusal = Refused(Refusal.BUSY, "no room")
    world.submit(20, 100.0)
    world.run(3600.0)
    assert (world.finished, near.highest) == (20, 0)
    near.refusal = None
    for _ in range(100):
        world.step()
    world.submit(20, 100.0)
    world.run(3600.0)
    assert near.highest > 0


def test_hedged_blocks_are_withdrawn_once_others_have_come():
    world = World(6, spill_after=3600, hedge=2, sizes=(0, 100, 100))
    world.submit(50, 600.0)
    world.run(7200.0)
    _, queue, cloud = world.providers
    assert world.finished == 50
    assert queue.asked >= 50
    assert cloud.asked >= 50
    assert queue.withdrawn > 25  # most wait longer than a machine takes to boot
    assert queue.asked + cloud.asked <= 110


@pytest.mark.parametrize("seed", range(5))
def test_no_task_is_left_whatever_fails_meanwhile(seed):
    world = World(seed, spill_after=30, hedge=seed % 2 + 1, sizes=(5, 20, 20))
    for _ in range(200):
        if world.chance.random() < 0.1:
            world.submit(world.chance.randint(1, 30), 50.0)
        for each in world.providers[:2]:
            if world.chance.random() < 0.1:
                each.refusal = world.chance.choice([None, Refused(Refusal.BUSY, "busy"), Refused(Refusal.FAILED, "no")])
        world.step()
    world.run(7200.0)
    assert (world.queued, len(world.running), world.errors) == (0, 0, [])


@pytest.mark.parametrize(
    "sizes", [(5, 20, 20), pytest.param((1000, 4000, 5000), marks=pytest.mark.long)], ids=["few", "ten thousand"]
)
def test_spending_stays_within_the_budget_and_the_work_goes_on_where_it_costs_nothing(sizes, tmp_path):
    limit = sum(sizes) * 0.01
    world = World(
        8,
        spill_after=60,
        sizes=sizes,
        spending=lambda clock: Spending(tmp_path, clock, Terms(Limit(usd=limit), drain_time=30.0)),
        prices=(0.0, 0.0, 0.30),
    )
    world.submit(2 * sum(sizes), 600.0)
    world.run(6 * 3600.0)
    cloud = world.providers[2]
    spent = cloud.paid / 3600 * cloud.price
    assert (world.queued, world.errors) == (0, [])
    assert 0.3 * limit < spent <= limit
    assert not cloud.alive


def test_decision_costs_the_same_for_ten_times_as_many_blocks():
    costs = {}
    for scale in (1, 10):
        world = World(7, spill_after=60, sizes=(100 * scale, 400 * scale, 500 * scale))
        world.submit(1200 * scale, 1e6)
        for _ in range(300):
            world.step()
        world.cpu = world.decisions = 0.0
        for each in world.idle.values():
            each.clear()
        for _ in range(200):
            world.step()
        assert sum(len(each.alive) for each in world.providers) == 1000 * scale
        costs[scale] = world.cpu / world.decisions
    assert costs[10] < 4 * costs[1] + 1e-3, costs
