"""Costs with thousands of blocks: a decision costs as much as what changed, not as much as there are blocks."""

import random
import time

import pytest

from cnflow.blocks.actions import Remove
from cnflow.blocks.backoff import Backoff
from cnflow.blocks.block import Patience
from cnflow.blocks.callbacks import Demand
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.model.block import BlockState, BlockStatus
from cnflow.model.traits import Traits

MANY = 10_000
RUNNING = BlockStatus(BlockState.RUNNING)


def connected(count):
    """Return the state of *count* blocks, all of which are connected."""
    limits = Limits(0, 0, 2 * MANY, 1, 1.0, 120.0)
    traits = Traits(submit_at_once=2 * MANY)
    blocks = Blocks(
        "htex",
        limits,
        STRATEGIES["htex_auto_scale"],
        slots_per_node=1,
        backoff=Backoff(random.Random(1), traits),
        patience=Patience(300.0),
    )
    blocks.decide(Demand(count, 1, 0, count), 0.0)
    batch = blocks.submissions.take_batch(0.0)
    blocks.submissions.on_answers({block: f"native-{block}" for block in batch}, 0.0)
    for block in batch:
        blocks.on_status(block, RUNNING, 1.0)
        blocks.on_manager_connected(block, 1, 1.0)
    return blocks


@pytest.fixture(scope="module")
def costs():
    """CPU seconds by what was done, for few blocks and for many."""
    return {count: measure(count) for count in (MANY // 10, MANY)}


def cpu(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


def measure(count):
    begin = time.process_time()
    blocks = connected(count)
    start = time.process_time() - begin

    def decide():
        for number in range(1000):
            blocks.decide(Demand(count, number, number, count), 2.0)
            blocks.decide(Demand(count // 2, number, number, count // 2), 2.0)

    def look():
        for _ in range(1000):
            assert blocks.late_blocks(3.0) == []
            assert blocks.repeat_drains(3.0) == []
            assert blocks.submissions.next_at(3.0) is None
            assert blocks.living == count
            assert blocks.wants_idle_times

    def come_and_go():
        for block in range(500):
            blocks.on_manager_lost(str(block), 1, 3.0)
            actions = blocks.on_status(str(block), BlockStatus(BlockState.ENDED), 3.0)
            assert Remove(str(block), f"native-{block}") in actions

    return {"start": start / count, "decide": cpu(decide), "look": cpu(look), "end": cpu(come_and_go)}


@pytest.mark.parametrize("what", ["start", "decide", "look", "end"])
def test_cost_does_not_grow_with_the_number_of_blocks(costs, what):
    few, many = costs[MANY // 10][what], costs[MANY][what]
    assert many < 4 * few + 0.02, f"{few:.4f} s with {MANY // 10} blocks, {many:.4f} s with {MANY}"


def test_a_decision_with_ten_thousand_blocks_takes_a_tenth_of_a_millisecond(costs):
    assert costs[MANY]["decide"] < 2000 * 100e-6
