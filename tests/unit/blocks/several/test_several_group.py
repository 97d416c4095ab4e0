"""Providers of one executor together: one that fails, hangs or is spent does not leave the tasks to wait for ever."""

import random

import pytest

from cnflow.blocks import Callbacks, Demand, Scaling, make_blocks
from cnflow.blocks.allowance import ALL, Allowance
from cnflow.blocks.several.group import SeveralControllers
from cnflow.blocks.several.shares import Shares
from cnflow.blocks.submissions import SLOW_CALL
from cnflow.errors import BlockError, BlockRejectedError, BudgetError
from cnflow.model.block import BlockState, BlockStatus
from cnflow.testing import FakeClock, FakeProviderSettings


class Controller:
    """One that ends when the test says so."""

    def __init__(self):
        self.error = None
        self.living = 0
        self.adopted = {}

    def wake(self):
        pass

    def run(self):
        if self.error is not None:
            raise self.error

    def adopt(self, natives, next_block):
        self.adopted = dict(natives)


class Two:
    """Two providers, a and b, whose decisions are taken when the test says so."""

    def __init__(self, *settings, strategy="simple", hedge=1):
        self.clock = FakeClock()
        self.tasks = 0
        self.errors = []
        self.ended, self.forgotten = [], []
        self.limits = [ALL, ALL]
        callbacks = Callbacks(
            demand=lambda: Demand(self.tasks, self.tasks, 0, self.tasks), **dict.fromkeys(Callbacks._fields[1:7], None)
        )
        callbacks = callbacks._replace(
            give_up=self.errors.append,
            report_end=lambda block, _: self.ended.append(block),
            forget=self.forgotten.append,
        )
        self.group = SeveralControllers("htex", callbacks, Shares(60.0, hedge), ["a", "b"], self.clock)
        self.blocks = [
            make_blocks("htex", each, Scaling(strategy, 120.0), slots_per_node=1, chance=random.Random(1))
            for each in settings or [FakeProviderSettings(init_blocks=0, max_blocks=4)] * 2
        ]
        self.controllers = [Controller(), Controller()]
        for number, (label, blocks) in enumerate(zip("ab", self.blocks, strict=True)):
            blocks.capacity.numbers = self.blocks[0].capacity.numbers
            self.group.add(label, blocks, self.controllers[number], lambda number=number: self.limits[number])

    def decide(self, number):
        demand = self.group.demand_of(number)
        self.blocks[number].decide(demand, self.clock.now())
        return demand

    def submit(self, number):
        return self.blocks[number].submissions.take_batch(self.clock.now())

    def accept(self, number, batch):
        self.blocks[number].submissions.on_answers({each: f"n{each}" for each in batch}, self.clock.now())

    def start(self, number):
        """Have the blocks connect that the provider wants."""
        self.decide(number)
        batch = self.submit(number)
        self.accept(number, batch)
        for each in batch:
            self.blocks[number].on_manager_connected(each, 1, self.clock.now())
        return batch

    def fail(self, number, error):
        self.controllers[number].error = error
        self.group.run()


def test_blocks_of_a_provider_whose_controller_failed_hold_no_tasks():
    two = Two()
    two.tasks = 2
    two.start(0)
    two.fail(0, RuntimeError("a bug"))
    assert two.decide(1).slots == 2
    assert two.ended == two.forgotten == ["0", "1"]  # so that the interchange gives their tasks to others
    assert not two.errors


def test_tasks_fail_once_the_controllers_of_all_have_failed_though_they_had_blocks():
    two = Two()
    two.tasks = 2
    two.start(0)
    two.fail(0, RuntimeError("a bug"))
    two.fail(1, RuntimeError("another"))
    assert "a bug" in str(two.errors[0])
    assert "another" in str(two.errors[0])


def test_provider_that_paused_and_whose_controller_fails_then_is_asked_never_again():
    two = Two()
    two.tasks = 1
    two.group.on_given_up("a", BlockError("no manager connects"))
    two.fail(0, RuntimeError("a bug"))
    two.clock.advance(10_000.0)
    assert two.decide(1).slots == 1
    assert two.decide(0).slots == 0


def test_tasks_fail_after_the_last_block_if_every_provider_has_refused_more():
    two = Two()
    two.tasks = 1
    (block,) = two.start(0)
    two.group.on_given_up("a", BlockRejectedError("no account"))
    two.group.on_given_up("b", BlockRejectedError("no quota"))
    two.decide(0)
    assert not two.errors  # its task may run on the block
    two.blocks[0].on_status(block, _ended(), two.clock.now())
    two.decide(1)
    assert isinstance(two.errors[0], BlockRejectedError)


def test_tasks_do_not_fail_while_a_submission_is_out():
    two = Two()
    two.tasks = 1
    two.decide(0)
    two.submit(0)
    two.group.on_given_up("a", BlockRejectedError("no account"))
    two.group.on_given_up("b", BlockRejectedError("no quota"))
    assert not two.errors


def test_tasks_fail_if_only_a_submission_that_hangs_is_left():
    two = Two()
    two.tasks = 1
    two.decide(0)
    two.submit(0)
    two.group.on_given_up("b", BlockRejectedError("no quota"))
    two.clock.advance(float(SLOW_CALL) + 1)
    two.blocks[0].submissions.on_overdue(1, two.clock.now())
    two.group.on_given_up("a", BlockError("its submission hangs"))
    assert "hangs" in str(two.errors[0])


def test_provider_whose_budget_was_spent_is_asked_again_on_a_new_day():
    two = Two()
    two.tasks = 2
    two.limits[0] = Allowance(0, is_final=True, reason="$1 of $1 are spent")
    assert (two.decide(0).slots, two.decide(1).slots) == (0, 2)
    two.limits[0] = ALL
    assert two.decide(0).slots == 2


def test_tasks_fail_by_the_budget_once_it_is_spent_for_all():
    two = Two()
    two.tasks = 2
    two.limits = [Allowance(0, is_final=True, reason="$1 of $1 are spent")] * 2
    two.decide(0)
    assert isinstance(two.errors[0], BudgetError)
    assert len(two.errors) == 1


def test_blocks_of_a_killed_driver_that_no_provider_knows_are_named(caplog):
    two = Two()
    two.group.adopt({"0": "a/1", "1": "c/2"}, 2)
    assert [each.adopted for each in two.controllers] == [{"0": "a/1"}, {}]
    assert "may run on: c/2" in caplog.text


@pytest.mark.parametrize(("strategy", "most"), [("none", 1), ("simple", 0)])
def test_tasks_fail_if_the_settings_allow_no_block_of_any(strategy, most):
    two = Two(*[FakeProviderSettings(init_blocks=0, max_blocks=most)] * 2, strategy=strategy)
    two.decide(0)
    assert not two.errors  # there is no task yet
    two.tasks = 1
    two.decide(1)
    assert "gets no block" in str(two.errors[0])


def test_hedged_block_whose_submission_has_no_answer_yet_is_withdrawn_once_it_has():
    two = Two(hedge=2)
    two.tasks = 1
    two.decide(0)
    out = two.submit(0)
    two.start(1)
    assert two.decide(0).allowance.withdrawn == 0
    two.accept(0, out)
    assert two.decide(0).allowance.withdrawn == 1
    assert [report.state for report in two.blocks[0].reports(two.clock.now())] == ["draining"]


def test_provider_with_one_block_for_all_tasks_is_tried_again_while_it_is_in_trouble():
    two = Two(*[FakeProviderSettings(init_blocks=0, max_blocks=4, parallelism=0.0)] * 2)
    two.tasks = 3
    two.blocks[0].submissions.busy_words = "no room"
    assert two.decide(0).allowance.further == 1


def _ended():
    return BlockStatus(BlockState.ENDED)
