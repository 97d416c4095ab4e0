"""Limits that a budget, or other providers, set on the blocks of one executor."""

import random

import pytest

from cnflow.blocks import Demand, Scaling, make_blocks
from cnflow.blocks.actions import GiveUp, OrderDrain, Remove, ReportEnd
from cnflow.blocks.allowance import ALL, Allowance, BlockNumbers
from cnflow.errors import BudgetError
from cnflow.model.block import BlockState, BlockStatus
from cnflow.testing import FakeProviderSettings


@pytest.fixture
def blocks():
    settings = FakeProviderSettings(init_blocks=0, max_blocks=4)
    return make_blocks("htex", settings, Scaling("simple", 120.0), slots_per_node=1, chance=random.Random(1))


def decide(blocks, tasks, now=0.0, **limits):
    return blocks.decide(Demand(tasks, tasks, 0, tasks, Allowance(**limits)), now)


def ids(blocks):
    return [report.block for report in blocks.reports(0.0)]


def accept(blocks, now=0.0):
    batch = blocks.submissions.take_batch(now)
    blocks.submissions.on_answers({block: f"n{block}" for block in batch}, now)
    return batch


def test_requests_are_cut_to_what_may_be_submitted(blocks):
    decide(blocks, 4, further=2)
    assert ids(blocks) == ["0", "1"]
    accept(blocks)
    decide(blocks, 4, further=0)
    assert len(ids(blocks)) == 2


def test_waiting_blocks_beyond_the_limit_are_dropped_without_a_call(blocks):
    decide(blocks, 4)
    assert decide(blocks, 4, further=1) == []
    assert ids(blocks) == ["0"]
    decide(blocks, 4)
    assert len(ids(blocks)) == 4


def test_blocks_are_withdrawn_before_those_that_have_come_further(blocks):
    decide(blocks, 2)
    accept(blocks)
    blocks.on_manager_connected("0", 1, 1.0)
    decide(blocks, 3, now=2.0)
    assert decide(blocks, 3, now=2.0, withdrawn=1) == []
    assert ids(blocks) == ["0", "1"]  # the third, which was not submitted, is over
    assert decide(blocks, 2, now=3.0, withdrawn=5) == [OrderDrain("1")]  # a connected one stays


def test_all_blocks_drain_once_the_money_is_spent(blocks):
    decide(blocks, 2)
    accept(blocks)
    blocks.on_manager_connected("0", 1, 1.0)
    assert decide(blocks, 4, now=2.0, drains=True) == [OrderDrain("0"), OrderDrain("1")]
    assert decide(blocks, 4, now=3.0, drains=True) == []


def test_limits_of_two_owners_hold_together():
    both = Allowance(3, 1, reason="a.").and_(Allowance(2, 0, drains=True, reason="b."))
    assert both == Allowance(2, 1, drains=True, reason="a. b.")
    assert ALL.and_(ALL) == ALL


def test_providers_of_one_executor_never_give_a_number_twice():
    numbers = BlockNumbers()
    numbers.start_at(3)
    numbers.start_at(1)
    assert [numbers.take(), numbers.take()] == [3, 4]


def test_blocks_that_may_not_even_drain_are_removed_with_their_tasks(blocks):
    decide(blocks, 2)
    accept(blocks)
    blocks.on_manager_connected("0", 1, 1.0)
    actions = decide(blocks, 2, now=2.0, further=0, drains=True, ends=True, reason="$5.00 are spent")
    reason = "Block 0 of executor 'htex' is ended: $5.00 are spent."
    assert ReportEnd("0", reason, is_unexpected=False) in actions
    assert {action.native for action in actions if isinstance(action, Remove)} == {"n0", "n1"}
    assert ids(blocks) == []


def test_tasks_fail_with_the_budgets_error_once_no_block_is_left_for_them(blocks):
    limits = {"further": 0, "is_final": True, "reason": "$5.00 are spent"}
    decide(blocks, 2)
    accept(blocks)
    assert not [each for each in decide(blocks, 2, **limits) if isinstance(each, GiveUp)]
    for block in ("0", "1"):
        blocks.on_status(block, BlockStatus(BlockState.ENDED), 1.0)
    (give_up,) = [each for each in decide(blocks, 2, now=2.0, **limits) if isinstance(each, GiveUp)]
    assert isinstance(give_up.error, BudgetError)
    assert "gets no further block: $5.00 are spent. Raise the limit in Config(budget=" in give_up.reason
    assert decide(blocks, 0, now=3.0, **limits) == []
