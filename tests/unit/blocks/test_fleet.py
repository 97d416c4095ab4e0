"""Stories of an executor's blocks, and a machine that looks for lost or doubled ones under any order of events."""

import random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.blocks.actions import GiveUp, Remove, TellDrain, TellGone
from cnflow.blocks.backoff import AT_ONCE, LIMIT_BEFORE_USE, Backoff
from cnflow.blocks.block import FINAL, NEXT, Block, Stage
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.model.block import BlockState

RUNNING, ENDED, FAILED, GONE = BlockState.RUNNING, BlockState.ENDED, BlockState.FAILED, BlockState.GONE


def fleet(strategy="simple", first=0, low=0, high=4, slots=1, parallelism=1.0):
    limits = Limits(first, low, high, 1, parallelism, 120.0)
    return Blocks(
        "htex",
        limits,
        STRATEGIES[strategy],
        slots_per_node=slots,
        health=Backoff(random.Random(1)),
        startup_timeout=300.0,
    )


class Driver:
    """A fleet with a provider that takes all, and interchange that answers at once."""

    def __init__(self, **options):
        self.fleet = fleet(**options)
        self.now = 0.0
        self.submits = 0

    def decide(self, tasks, after=0.0):
        self.now += after
        self.submits += tasks > 0
        return self.fleet.decide(tasks, self.submits, self.now)

    def submit(self):
        taken = []
        while (block := self.fleet.next_submission(self.now)) is not None:
            self.fleet.accepted(block, f"native-{block}")
            taken.append(block)
        return taken

    def connect(self, *blocks, slots=1):
        for block in blocks:
            self.fleet.alive(block, RUNNING, self.now)
            self.fleet.connected(block, slots, self.now)

    def running(self, tasks):
        """Started for *tasks* and connected."""
        self.decide(tasks)
        blocks = self.submit()
        self.connect(*blocks)
        return blocks

    def fail(self, block, words="It exited with code 1.", state=FAILED):
        return self.fleet.ended(block, state, words, self.now)


def gave_up(actions):
    return [action.reason for action in actions if isinstance(action, GiveUp)]


class TestGrowing:
    def test_a_burst_is_asked_for_in_one_decision(self):
        driver = Driver()
        assert driver.decide(10) == []
        assert driver.submit() == ["0", "1", "2", "3"]
        assert driver.fleet.is_full

    def test_blocks_on_their_way_are_counted(self):
        driver = Driver()
        driver.decide(2)
        driver.decide(2)
        assert driver.submit() == ["0", "1"]

    def test_the_first_manager_tells_how_many_slots_a_block_has(self):
        driver = Driver()
        driver.decide(1)
        driver.connect(*driver.submit(), slots=8)
        driver.decide(8)
        assert driver.submit() == []
        driver.decide(9)
        assert driver.submit() == ["1"]

    def test_more_than_a_burst_goes_out_bit_by_bit(self):
        driver = Driver(high=30)
        driver.decide(30)
        assert len(driver.submit()) == AT_ONCE
        assert driver.fleet.due_at(driver.now) == pytest.approx(0.5)
        driver.now += 2
        assert len(driver.submit()) == 4

    def test_draining_blocks_count_towards_the_maximum(self):
        driver = Driver(high=1)
        driver.running(1)
        driver.decide(0)
        assert driver.decide(0, after=200) == [TellDrain("0")]
        driver.decide(5)
        assert driver.submit() == []
        assert driver.fleet.drained("0") == [Remove("0", "native-0")]
        driver.decide(5)
        assert driver.submit() == ["1"]

    def test_where_no_block_is_allowed_tasks_are_told(self):
        assert "max_blocks=0" in gave_up(Driver(high=0).decide(1))[0]
        assert "init_blocks=0" in gave_up(Driver(strategy="none").decide(1))[0]
        assert gave_up(Driver(high=0).decide(0)) == []


class TestDraining:
    def test_the_interchange_first_then_the_provider(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=1) == [TellDrain("0")]
        assert driver.fleet.stage("0") is Stage.DRAINING
        driver.fleet.disconnected("0", 1, driver.now)
        assert driver.fleet.drained("0") == [Remove("0", "native-0")]
        assert driver.fleet.living == {}
        assert driver.fleet.drained("0") == []

    def test_a_task_that_came_and_went_between_two_looks_is_work(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.submits += 1
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=1) == [TellDrain("0")]

    def test_a_block_that_ends_while_it_drains_is_no_failure(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.decide(0, after=120)
        actions = driver.fail("0", state=ENDED)
        assert actions[0] == Remove("0", "native-0")
        assert not actions[1].is_news
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_a_block_that_was_not_submitted_yet_is_just_forgotten(self):
        driver = Driver(high=30)
        driver.decide(30)
        waiting = 30 - len(driver.submit())
        drains = [driver.decide(0), driver.decide(0, after=120)][1]
        assert len(drains) == 30 - waiting
        assert driver.submit() == []

    def test_idle_times_are_good_for_one_decision(self):
        driver = Driver(strategy="htex_auto_scale", high=2)
        driver.running(2)
        driver.decide(1)
        assert driver.fleet.wants_idle_times
        driver.fleet.idle_times({"0": 0.0, "1": 150.0})
        assert driver.decide(1) == [TellDrain("1")]
        assert driver.decide(1) == []

    def test_an_interchange_that_may_have_missed_it_is_reminded(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.decide(0, after=120)
        assert driver.fleet.reminders(driver.now + 29) == []
        assert driver.fleet.reminders(driver.now + 30) == [TellDrain("0")]
        assert driver.fleet.reminders(driver.now + 31) == []


class TestBadBlocks:
    def test_a_block_that_was_of_use_is_replaced_at_once(self):
        driver = Driver(high=1)
        driver.running(1)
        assert [type(action) for action in driver.fail("0")] == [Remove, TellGone]
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_a_bad_first_block_is_tried_again_later_and_then_it_is_told_what_they_said(self):
        driver = Driver(high=1)
        for attempt in range(LIMIT_BEFORE_USE):
            driver.decide(1)
            assert attempt == 0 or driver.submit() == []
            driver.now += 10
            assert driver.submit() == [str(attempt)]
            actions = driver.fail(str(attempt), f"words {attempt}")
        (reason,) = gave_up(actions)
        assert all(f"words {attempt}" in reason for attempt in range(LIMIT_BEFORE_USE))

    def test_after_a_failure_one_block_at_a_time_is_tried(self):
        driver = Driver()
        driver.decide(1)
        driver.submit()
        driver.fail("0")
        driver.now += 10
        driver.decide(4)
        assert driver.submit() == ["1"]
        driver.now += 10
        assert driver.submit() == []
        driver.connect("1")
        assert driver.submit() == ["2", "3", "4"]

    def test_nothing_is_given_up_while_another_block_may_be_better(self):
        driver = Driver(high=4)
        driver.decide(4)
        driver.submit()
        assert [gave_up(driver.fail(block)) for block in "012"] == [[], [], []]
        assert gave_up(driver.fail("3")) != []

    def test_what_the_provider_will_never_start_ends_it_at_once(self):
        driver = Driver()
        driver.decide(1)
        assert driver.fleet.next_submission(0.0) == "0"
        assert gave_up(driver.fleet.refused("0", "no such image", 0.0, for_good=True)) == ["no such image"]

    def test_a_busy_provider_is_asked_again_for_the_same_block(self):
        driver = Driver()
        driver.decide(1)
        assert driver.fleet.next_submission(0.0) == "0"
        driver.fleet.busy(0.0)
        assert driver.submit() == []
        driver.now += 1
        assert driver.submit() == ["0"]

    def test_a_silent_provider_is_asked_for_nothing(self):
        driver = Driver()
        driver.running(1)
        driver.fleet.provider_is_silent = True
        driver.decide(4)
        assert driver.submit() == []
        assert driver.fleet.due_at(driver.now) is None
        driver.fleet.provider_is_silent = False
        assert driver.submit() == ["1", "2", "3"]

    def test_a_block_whose_manager_never_connects_is_drained_and_counts_as_failed(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        driver.fleet.alive("0", RUNNING, 0.0)
        assert driver.fleet.overdue(299.0) == []
        assert driver.fleet.overdue(300.0) == ["0"]
        assert driver.fleet.missed("0", "tried 10.0.0.1", 300.0) == [TellDrain("0")]
        assert driver.fleet.overdue(301.0) == []
        assert driver.fleet.drained("0") == [Remove("0", "native-0")]

    def test_a_block_that_waits_in_the_queue_is_never_late(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        driver.fleet.alive("0", BlockState.PENDING, 0.0)
        assert driver.fleet.overdue(1e6) == []

    def test_a_block_that_lost_its_managers_for_too_long_is_late_too(self):
        driver = Driver(high=1)
        driver.running(1)
        driver.fleet.disconnected("0", 1, 50.0)
        assert driver.fleet.overdue(349.0) == []
        assert driver.fleet.overdue(350.0) == ["0"]


class TestItsLife:
    def test_there_are_no_other_steps(self):
        for stage in Stage:
            for other in set(Stage) - NEXT[stage]:
                with pytest.raises(ValueError, match=f"cannot become {other.value}"):
                    Block("0", stage).become(other)

    @pytest.mark.parametrize(
        ("connected", "state", "last"),
        [
            (None, ENDED, Stage.MISSING),
            (None, GONE, Stage.MISSING),
            (None, FAILED, Stage.FAILED),
            (1.0, ENDED, Stage.ENDED),
            (1.0, GONE, Stage.ENDED),
            (1.0, FAILED, Stage.FAILED),
        ],
    )
    def test_how_it_is_called_in_the_end(self, connected, state, last):
        assert Block("0", Stage.RUNNING, connected_at=connected).last_stage(state) is last
        assert last in FINAL


class Whatever(RuleBasedStateMachine):
    """A provider and an interchange that do anything at any time."""

    def __init__(self):
        super().__init__()
        self.high, self.low = 3, 1
        self.fleet = fleet(strategy="htex_auto_scale", first=2, low=self.low, high=self.high)
        self.now = 0.0
        self.tasks = 0
        self.at_provider = {}
        """Native id -> block: what the provider was asked for, and not to remove."""
        self.was_removed = []
        self.managers = {}
        self.told_to_drain = set()
        self.was_drained = set()
        self.may_be_removed = set()
        """Those that ended by themselves, or hold nothing and get nothing more."""
        self.gave_up = False

    def do(self, actions):
        for action in actions:
            match action:
                case TellDrain(block):
                    self.told_to_drain.add(block)
                case Remove(block, native):
                    assert self.at_provider.pop(native) == block
                    assert block in self.may_be_removed
                    self.was_removed.append(block)
                case GiveUp():
                    self.gave_up = True
                    assert not any(self.managers.values())

    @rule(tasks=st.integers(0, 8), seconds=st.sampled_from([0.0, 1.0, 60.0, 130.0]))
    def time_passes_and_tasks_come_and_go(self, tasks, seconds):
        self.now += seconds
        self.tasks = tasks
        self.fleet.idle_times(dict.fromkeys(self.at_provider.values(), seconds))
        self.do(self.fleet.decide(tasks, 0, self.now))

    @rule(answer=st.sampled_from(["taken", "busy", "refused"]))
    def the_provider_is_asked(self, answer):
        block = self.fleet.next_submission(self.now)
        if block is None:
            return
        assert block not in self.at_provider.values()
        if answer == "taken":
            self.at_provider[f"native-{block}"] = block
            self.fleet.accepted(block, f"native-{block}")
        elif answer == "busy":
            self.fleet.busy(self.now)
        else:
            self.do(self.fleet.refused(block, "no", self.now, for_good=False))

    @rule(data=st.data())
    def a_manager_connects(self, data):
        if self.at_provider:
            block = data.draw(st.sampled_from(sorted(self.at_provider.values())))
            if block not in self.was_drained:
                self.fleet.alive(block, RUNNING, self.now)
                self.fleet.connected(block, 2, self.now)
                self.managers[block] = self.managers.get(block, 0) + 1

    @rule(data=st.data())
    def a_manager_leaves(self, data):
        if connected := sorted(block for block, count in self.managers.items() if count):
            block = data.draw(st.sampled_from(connected))
            self.managers[block] -= 1
            self.fleet.disconnected(block, 2, self.now)

    @rule()
    def drained_blocks_are_told_of(self):
        for block in sorted(self.told_to_drain - self.was_drained):
            if not self.managers.get(block):
                self.was_drained.add(block)
                self.may_be_removed.add(block)
                self.do(self.fleet.drained(block))

    @rule(data=st.data(), state=st.sampled_from([ENDED, FAILED, GONE]))
    def a_block_ends(self, data, state):
        if self.at_provider:
            native = data.draw(st.sampled_from(sorted(self.at_provider)))
            block = self.at_provider[native]
            self.managers.pop(block, None)
            self.may_be_removed.add(block)
            self.do(self.fleet.ended(block, state, "words", self.now))

    @rule()
    def late_ones_are_looked_for(self):
        for block in self.fleet.overdue(self.now):
            assert not self.managers.get(block)
            self.do(self.fleet.missed(block, "words", self.now))

    @invariant()
    def the_provider_has_what_the_fleet_thinks_it_has(self):
        assert {native: block for block, native in self.fleet.living.items()} == self.at_provider

    @invariant()
    def there_are_never_more_than_allowed(self):
        assert len(self.at_provider) <= self.high

    @invariant()
    def no_block_is_removed_twice(self):
        assert len(self.was_removed) == len(set(self.was_removed))

    @invariant()
    def a_block_drains_if_the_interchange_was_told(self):
        for block in self.at_provider.values():
            assert (self.fleet.stage(block) is Stage.DRAINING) == (block in self.told_to_drain)


Whatever.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestWhateverHappens = Whatever.TestCase
