"""Stories of an executor's blocks, and a machine that looks for lost or doubled ones under any order of events."""

import random

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.blocks.actions import Forget, GiveUp, OrderDrain, Remove, ReportEnd, Warn
from cnflow.blocks.backoff import LIMIT_BEFORE_USE, Backoff
from cnflow.blocks.block import FINAL, NEXT, Block, Patience, Stage
from cnflow.blocks.callbacks import Demand
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.errors import BlockRejectedError, ImageNotFoundError
from cnflow.model.block import BlockState, BlockStatus, EndCause, Refusal, Refused
from cnflow.model.manager_settings import NO_WORKER_STARTS
from cnflow.model.traits import Traits

PENDING, RUNNING, ENDED, FAILED, GONE = (
    BlockState.PENDING,
    BlockState.RUNNING,
    BlockState.ENDED,
    BlockState.FAILED,
    BlockState.GONE,
)
AT_ONCE = Traits().submit_at_once


def make_blocks(strategy="simple", first=0, low=0, high=4, slots=1, status_lag=0.0, warm=0, *, single=False):  # noqa: PLR0913, PLR0917
    limits = Limits(first, low, high, 1, 1.0, 120.0, warm, single)
    return Blocks(
        "htex",
        limits,
        STRATEGIES[strategy],
        slots_per_node=slots,
        backoff=Backoff(random.Random(1)),
        patience=Patience(300.0, status_lag),
    )


class Driver:
    """Blocks with a provider that accepts all, and an interchange that answers at once."""

    def __init__(self, **options):
        self.blocks = make_blocks(**options)
        self.now = 0.0
        self.submits = 0
        self.finished = 0

    def decide(self, tasks, after=0.0, slots=0):
        self.now += after
        self.submits += tasks > 0
        return self.blocks.decide(Demand(tasks, self.submits, self.finished, slots or tasks), self.now)

    def submit(self):
        batch = self.blocks.submissions.take_batch(self.now)
        self.answer({block: f"native-{block}" for block in batch})
        return batch

    def answer(self, answers):
        return self.blocks.submissions.on_answers(answers, self.now)

    def refuse(self, block, kind, words="no", error=None):
        assert self.blocks.submissions.take_batch(self.now) == [block]
        return self.answer({block: Refused(kind, words, error)})

    def report(self, block, state, **status):
        return self.blocks.on_status(block, BlockStatus(state, **status), self.now)

    def connect(self, *blocks, slots=1):
        for block in blocks:
            self.report(block, RUNNING)
            self.blocks.on_manager_connected(block, slots, self.now)

    def running(self, tasks):
        """Started for *tasks* and connected."""
        self.decide(tasks)
        blocks = self.submit()
        self.connect(*blocks)
        return blocks

    def fail(self, block, words="It exited with code 1.", state=FAILED):
        return self.report(block, state, message=words)


def gave_up(actions):
    return [action.reason for action in actions if isinstance(action, GiveUp)]


class TestBlocksOfSingleUse:
    def test_a_block_whose_manager_has_left_is_removed_and_replaced_at_once(self):
        driver = Driver(single=True, high=2)
        assert driver.running(5) == ["0", "1"]
        driver.finished += 1
        assert driver.blocks.on_emptied("0", driver.now) == [Remove("0", "native-0"), Forget("0")]
        driver.decide(4)
        assert driver.submit() == ["2"]

    def test_any_number_of_blocks_that_end_after_their_task_is_no_failure(self):
        driver = Driver(single=True, high=1)
        for number in range(30):
            assert driver.running(5) == [str(number)]
            driver.blocks.on_idle_times({str(number): 1.0})
            driver.finished += number % 2
            if number % 3:
                assert driver.blocks.on_emptied(str(number), driver.now)
            else:  # its interchange was killed before it could report that
                assert gave_up(driver.report(str(number), ENDED, exit_code=0)) == []
            driver.now += 1.0

    def test_an_end_by_itself_after_the_task_is_expected(self):
        driver = Driver(single=True)
        driver.running(1)
        ends = [a for a in driver.report("0", ENDED, exit_code=0) if isinstance(a, ReportEnd)]
        assert [end.is_unexpected for end in ends] == [False]

    def test_tasks_that_kill_their_containers_do_not_end_the_executor(self):
        driver = Driver(single=True, high=1)
        for number in range(20):
            assert driver.running(30 - number) == [str(number)]
            driver.blocks.on_idle_times({str(number): 1.0})
            assert gave_up(driver.report(str(number), FAILED, exit_code=137)) == []
            driver.now += 60.0

    def test_blocks_that_never_connect_end_the_executor_as_any_others_do(self):
        driver = Driver(single=True, high=1)
        reasons = []
        for number in range(LIMIT_BEFORE_USE):
            driver.decide(1)
            assert driver.submit() == [str(number)]
            driver.report(str(number), RUNNING)
            reasons += gave_up(driver.fail(str(number)))
            driver.now += 60.0
        assert len(reasons) == 1

    def test_a_warm_block_is_ready_while_another_has_a_task(self):
        driver = Driver(single=True, high=3, warm=1)
        assert driver.running(1) == ["0", "1"]
        driver.decide(2)
        assert driver.submit() == ["2"]

    def test_the_report_of_an_empty_block_of_many_tasks_changes_nothing(self):
        driver = Driver()
        driver.running(1)
        assert driver.blocks.on_emptied("0", driver.now) == []
        assert driver.blocks.stage("0") is Stage.RUNNING


class TestGrowing:
    def test_a_burst_is_asked_for_in_one_decision(self):
        driver = Driver()
        assert driver.decide(10) == []
        assert driver.submit() == ["0", "1", "2", "3"]
        assert driver.blocks.is_full

    def test_a_warm_block_is_replaced_once_a_task_takes_it(self):
        driver = Driver(warm=1)
        driver.decide(0)
        assert driver.submit() == ["0"]
        driver.connect("0")
        assert driver.decide(0) == []
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_a_warm_block_stays_through_any_idle_time_and_is_replaced_when_it_ends(self):
        driver = Driver(warm=1)
        driver.running(0)
        assert driver.decide(0, after=1e6) == []
        driver.report("0", ENDED)
        driver.decide(0, after=1e6)
        assert driver.submit() == ["1"]

    def test_requested_blocks_are_counted(self):
        driver = Driver()
        driver.decide(2)
        driver.decide(2)
        assert driver.submit() == ["0", "1"]

    def test_the_first_manager_reports_how_many_slots_a_block_has(self):
        driver = Driver()
        driver.decide(1)
        driver.connect(*driver.submit(), slots=8)
        driver.decide(8)
        assert driver.submit() == []
        driver.decide(9)
        assert driver.submit() == ["1"]

    def test_tasks_that_need_a_node_each_get_a_block_each(self):
        driver = Driver(slots=4)
        driver.decide(3, slots=12)
        assert driver.submit() == ["0", "1", "2"]

    def test_blocks_beyond_a_burst_are_submitted_at_a_rate(self):
        driver = Driver(high=30)
        driver.decide(30)
        assert len(driver.submit()) == AT_ONCE
        assert driver.blocks.submissions.next_at(driver.now) == pytest.approx(0.5)
        driver.now += 2
        assert len(driver.submit()) == 4

    def test_draining_blocks_count_towards_the_maximum(self):
        driver = Driver(high=1)
        driver.running(1)
        driver.decide(0)
        assert driver.decide(0, after=200) == [OrderDrain("0")]
        driver.decide(5)
        assert driver.submit() == []
        assert driver.blocks.on_drained("0", driver.now) == [Remove("0", "native-0"), Forget("0")]
        driver.decide(5)
        assert driver.submit() == ["1"]

    def test_a_task_without_any_block_allowed_fails_with_the_reason(self):
        assert "max_blocks=0" in gave_up(Driver(high=0).decide(1))[0]
        assert "init_blocks=0" in gave_up(Driver(strategy="none").decide(1))[0]
        assert gave_up(Driver(high=0).decide(0)) == []


class TestDraining:
    def test_a_block_is_drained_before_it_is_removed(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=1) == [OrderDrain("0")]
        assert driver.blocks.stage("0") is Stage.DRAINING
        driver.blocks.on_manager_lost("0", 1, driver.now)
        assert driver.blocks.on_drained("0", driver.now) == [Remove("0", "native-0"), Forget("0")]
        assert driver.blocks.natives == {}
        assert driver.blocks.on_drained("0", driver.now) == []

    def test_a_block_drains_when_its_user_wants_it_and_another_takes_its_place(self):
        driver = Driver(high=1)
        driver.running(1)
        assert driver.blocks.on_drain_wanted("0", driver.now) == [OrderDrain("0")]
        assert driver.blocks.on_drain_wanted("0", driver.now) == []
        assert driver.blocks.on_drain_wanted("7", driver.now) == []
        driver.blocks.on_manager_lost("0", 1, driver.now)
        assert driver.blocks.on_drained("0", driver.now) == [Remove("0", "native-0"), Forget("0")]
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_a_task_that_came_and_went_between_two_decisions_is_work(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.submits += 1
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=119) == []
        assert driver.decide(0, after=1) == [OrderDrain("0")]

    def test_a_block_that_ends_while_it_drains_is_no_failure(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.decide(0, after=120)
        actions = driver.fail("0", state=ENDED)
        assert actions[0] == Remove("0", "native-0")
        assert not actions[1].is_unexpected
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_draining_a_block_that_was_not_submitted_yet_needs_no_action(self):
        driver = Driver(high=30)
        driver.decide(30)
        waiting = 30 - len(driver.submit())
        drains = [driver.decide(0), driver.decide(0, after=120)][1]
        assert len(drains) == 30 - waiting
        assert driver.submit() == []

    def test_idle_times_are_used_in_one_decision(self):
        driver = Driver(strategy="htex_auto_scale", high=2)
        driver.running(2)
        driver.decide(1)
        assert driver.blocks.wants_idle_times
        driver.blocks.on_idle_times({"0": 0.0, "1": 150.0})
        assert driver.decide(1) == [OrderDrain("1")]
        assert driver.decide(1) == []

    def test_an_order_to_drain_is_repeated_for_an_interchange_that_may_have_missed_it(self):
        driver = Driver()
        driver.running(1)
        driver.decide(0)
        driver.decide(0, after=120)
        assert driver.blocks.repeat_drains(driver.now + 29) == []
        assert driver.blocks.repeat_drains(driver.now + 30) == [OrderDrain("0")]
        assert driver.blocks.repeat_drains(driver.now + 31) == []


class TestBadBlocks:
    def test_a_block_that_worked_is_replaced_at_once(self):
        driver = Driver(high=1)
        driver.running(1)
        assert [type(action) for action in driver.fail("0")] == [Remove, ReportEnd, Forget]
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_bad_first_blocks_are_replaced_later_and_then_reported_together(self):
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

    @pytest.mark.parametrize(
        ("native", "shown"),
        [
            ("0123456789abcdef0123", "0123456789ab"),
            ("1234567890123.cluster", "1234567890123.cluster"),
            ("i-0abcdef1234567890", "i-0abcdef1234567890"),
            ("4711", "4711"),
        ],
    )
    def test_only_a_long_hexadecimal_id_is_shortened_in_the_report_of_an_end(self, native, shown):
        driver = Driver(high=1)
        driver.decide(1)
        driver.blocks.submissions.take_batch(driver.now)
        driver.answer({"0": native})
        assert f"Block 0 ({shown}) of executor 'htex' ended." in driver.fail("0")[1].reason

    def test_an_executor_goes_on_while_another_block_may_work(self):
        driver = Driver(high=4)
        driver.decide(4)
        driver.submit()
        assert [gave_up(driver.fail(block)) for block in "012"] == [[], [], []]
        assert gave_up(driver.fail("3")) != []

    def test_a_block_refused_for_good_ends_the_executor_at_once(self):
        driver = Driver()
        driver.decide(1)
        error = ImageNotFoundError("no such image")
        assert driver.refuse("0", Refusal.FOR_GOOD, "no such image", error) == [
            Forget("0"),
            GiveUp("no such image", error),
        ]

    def test_a_block_that_failed_for_good_ends_the_executor_at_once(self):
        driver = Driver()
        driver.decide(1)
        driver.submit()
        *_, give_up = driver.report("0", FAILED, message="no node is as large", is_for_good=True)
        assert give_up == GiveUp("Block 0 (native-0) of executor 'htex' ended. no node is as large")

    def test_a_block_that_failed_for_good_is_replaced_where_others_worked(self):
        driver = Driver(high=2)
        driver.running(1)
        driver.fail("0")
        driver.decide(1, after=3600)
        assert driver.submit() == ["1"]
        found = driver.report("1", FAILED, message="no node is as large", is_for_good=True)
        assert gave_up(found) == []

    def test_a_busy_provider_is_asked_again_for_the_same_block(self):
        driver = Driver()
        driver.decide(1)
        assert driver.refuse("0", Refusal.BUSY, "no room") == []
        assert driver.blocks.reports(0.0)[0].message.endswith("no room")
        assert driver.submit() == []
        driver.now += 1
        assert driver.submit() == ["0"]

    def test_a_silent_provider_is_asked_for_nothing(self):
        driver = Driver()
        driver.running(1)
        driver.blocks.submissions.is_provider_silent = True
        driver.decide(4)
        assert driver.submit() == []
        assert driver.blocks.submissions.next_at(driver.now) is None
        driver.blocks.submissions.is_provider_silent = False
        assert driver.submit() == ["1", "2", "3"]

    def test_a_block_whose_manager_never_connects_is_drained_and_counts_as_failed(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        driver.report("0", RUNNING)
        assert driver.blocks.late_blocks(299.0) == []
        assert driver.blocks.late_blocks(300.0) == ["0"]
        assert driver.blocks.on_connection_timeout("0", "tried 10.0.0.1", 300.0) == [OrderDrain("0")]
        assert driver.blocks.late_blocks(301.0) == []
        assert driver.blocks.on_drained("0", driver.now) == [Remove("0", "native-0"), Forget("0")]

    def test_a_block_that_is_put_back_into_the_queue_is_kept_and_works_again(self):
        driver = Driver(high=1)
        driver.running(1)
        driver.blocks.on_manager_lost("0", 1, driver.now)
        driver.report("0", PENDING)
        assert driver.decide(1, after=1000.0) == []
        assert driver.submit() == []
        assert driver.blocks.late_blocks(driver.now) == []
        driver.report("0", RUNNING)
        assert driver.blocks.late_blocks(driver.now + 299.0) == []
        assert driver.blocks.late_blocks(driver.now + 300.0) == ["0"]
        driver.connect("0")
        assert driver.blocks.late_blocks(1e6) == []

    def test_a_block_that_waits_in_the_queue_is_never_late(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        driver.report("0", PENDING)
        assert driver.blocks.late_blocks(1e6) == []

    def test_a_block_that_lost_its_managers_for_too_long_is_late_too(self):
        driver = Driver(high=1)
        driver.running(1)
        driver.blocks.on_manager_lost("0", 1, 50.0)
        assert driver.blocks.late_blocks(349.0) == []
        assert driver.blocks.late_blocks(350.0) == ["0"]


class TestUnusedBlocks:
    """Blocks whose managers connect and take no task."""

    def use_up(self, driver, block, cause=EndCause.WALLTIME, idle=6.0):
        driver.decide(1, after=100)
        assert driver.submit() == [block]
        driver.connect(block)
        driver.blocks.on_idle_times({block: idle})
        driver.decide(1, after=6)
        return driver.report(block, FAILED, message="It reached its walltime.", cause=cause)

    def test_blocks_that_run_no_task_though_one_waits_end_the_executor_with_advice(self):
        driver = Driver(high=1)
        for block in range(LIMIT_BEFORE_USE):
            actions = self.use_up(driver, str(block))
        (reason,) = gave_up(actions)
        assert "ran no task, though tasks of executor 'htex' waited" in reason
        assert "set a longer walltime of the provider" in reason

    def test_blocks_whose_workers_die_as_they_start_end_the_executor_with_their_words(self):
        driver = Driver(high=1)
        for block in map(str, range(LIMIT_BEFORE_USE)):
            driver.decide(1, after=100)
            assert driver.submit() == [block]
            driver.connect(block)
            driver.decide(1, after=0.5)
            actions = driver.report(block, FAILED, message="no licence", exit_code=NO_WORKER_STARTS)
        (reason,) = gave_up(actions)
        assert reason.startswith("Block 2 (native-2) of executor 'htex' ended. no licence")
        assert "walltime" not in reason

    def test_the_next_one_is_asked_for_after_a_delay(self):
        driver = Driver(high=1)
        self.use_up(driver, "0")
        driver.decide(1)
        assert driver.submit() == []

    def test_a_block_that_was_seen_with_a_task_is_none_of_them(self):
        driver = Driver(high=1)
        for block in range(2 * LIMIT_BEFORE_USE):
            assert gave_up(self.use_up(driver, str(block), idle=0.0)) == []

    def test_a_block_in_whose_life_a_task_was_finished_is_none_of_them(self):
        driver = Driver(high=1)
        for block in range(2 * LIMIT_BEFORE_USE):
            driver.decide(1, after=100)
            driver.connect(*driver.submit())
            driver.blocks.on_idle_times({str(block): 6.0})
            driver.finished += 1
            driver.decide(1, after=40)
            assert gave_up(driver.report(str(block), FAILED)) == []

    def test_a_preempted_block_is_none_of_them(self):
        driver = Driver(high=1)
        for block in range(2 * LIMIT_BEFORE_USE):
            assert gave_up(self.use_up(driver, str(block), EndCause.PREEMPTED)) == []

    def test_a_block_without_tasks_to_run_is_none_of_them(self):
        driver = Driver(high=1)
        for block in range(2 * LIMIT_BEFORE_USE):
            driver.decide(1, after=100)
            driver.connect(*driver.submit())
            driver.blocks.on_idle_times({str(block): 6.0})
            driver.decide(0, after=40)
            assert gave_up(driver.report(str(block), FAILED, cause=EndCause.WALLTIME)) == []

    def test_idle_times_are_wanted_while_a_block_has_yet_to_show_that_it_works(self):
        driver = Driver(high=1)
        driver.running(1)
        assert driver.blocks.wants_idle_times
        driver.blocks.on_idle_times({"0": 0.0})
        assert not driver.blocks.wants_idle_times


class TestTheQueue:
    """A system in which a block waits for hours."""

    def test_a_failed_block_does_not_stop_growth_while_another_waits_in_the_queue(self):
        driver = Driver(high=50)
        driver.decide(2)
        driver.submit()
        driver.report("0", RUNNING)
        driver.fail("0")
        driver.decide(50, after=3600.0)
        assert driver.submit() == [], "it was accepted just now, as far as is known"
        driver.report("1", PENDING)
        assert driver.submit() != []

    def test_a_block_that_left_the_queue_must_first_show_that_it_works(self):
        driver = Driver(high=50)
        driver.decide(2)
        driver.submit()
        driver.report("1", PENDING)
        driver.fail("0")
        driver.decide(50, after=3600.0)
        driver.report("1", RUNNING)
        assert driver.submit() == []

    @pytest.mark.parametrize("cause", [EndCause.PREEMPTED, EndCause.WALLTIME])
    def test_a_preempted_block_does_not_count_as_a_failure(self, cause):
        driver = Driver(high=1)
        for block in range(10):
            driver.decide(1)
            assert driver.submit() == [str(block)]
            driver.connect(str(block))
            driver.now += 31
            assert gave_up(driver.report(str(block), FAILED, cause=cause)) == []

    @pytest.mark.parametrize("cause", [EndCause.PREEMPTED, EndCause.WALLTIME])
    def test_a_block_that_ends_before_a_manager_connects_is_a_failure_whatever_the_cause(self, cause):
        driver = Driver(high=1)
        for block in range(LIMIT_BEFORE_USE):
            driver.decide(1, after=100)
            assert driver.submit() == [str(block)]
            actions = driver.report(str(block), FAILED, cause=cause)
        assert len(gave_up(actions)) == 1

    def test_a_block_that_is_not_listed_yet_is_not_gone(self):
        driver = Driver(high=1, status_lag=60.0)
        driver.decide(1)
        driver.submit()
        driver.now += 59
        assert driver.fail("0", state=GONE) == []
        assert driver.blocks.stage("0") is Stage.PENDING
        driver.now += 1
        assert driver.fail("0", state=GONE) != []

    def test_a_block_that_is_never_reported_is_warned_of_once(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        assert driver.blocks.on_unreported("0", 299.0) == []
        assert driver.blocks.on_unreported("0", 300.0) == [
            Warn("Block 0 of executor 'htex' is not reported by its provider for 300 s.")
        ]
        assert driver.blocks.on_unreported("0", 400.0) == []
        assert driver.blocks.reports(400.0)[0].message == "not reported by its provider for 400 s"
        assert driver.blocks.stage("0") is Stage.PENDING

    def test_a_state_that_is_not_known_changes_nothing(self):
        driver = Driver(high=1)
        driver.decide(1)
        driver.submit()
        assert driver.report("0", BlockState.UNKNOWN, message="node down?") == []
        assert driver.blocks.stage("0") is Stage.PENDING
        assert driver.blocks.reports(0.0)[0].message == "node down?"


class TestBatches:
    def test_one_batch_of_refusals_counts_as_one_failure(self):
        driver = Driver(high=20)
        driver.decide(20)
        batch = driver.blocks.submissions.take_batch(0.0)
        assert len(batch) == 20
        assert driver.answer(dict.fromkeys(batch, Refused(Refusal.FAILED, "squeue is down"))) == list(
            map(Forget, batch)
        )
        driver.decide(20, after=1.0)
        assert len(driver.submit()) == 1

    def test_a_batch_is_accepted_in_part(self):
        driver = Driver(high=3)
        driver.decide(3)
        driver.blocks.submissions.take_batch(0.0)
        driver.answer({"0": "native-0", "1": Refused(Refusal.BUSY, "no room"), "2": Refused(Refusal.BUSY, "no room")})
        assert driver.blocks.natives == {"0": "native-0"}
        driver.now += 0.5
        assert driver.submit() == ["1", "2"]

    def test_a_refusal_for_good_in_a_batch_ends_the_executor_unless_another_block_may_work(self):
        error = BlockRejectedError("no such queue")
        gives_up = [Forget("0"), Forget("1"), GiveUp("no such queue", error)]
        for first, ends in (("native-0", [Forget("1")]), (Refused(Refusal.FAILED, "later"), gives_up)):
            driver = Driver(high=2)
            driver.decide(2)
            driver.blocks.submissions.take_batch(0.0)
            assert driver.answer({"0": first, "1": Refused(Refusal.FOR_GOOD, "no such queue", error)}) == ends


class TestUnconfirmed:
    """A submission that got no answer."""

    def submit_without_answer(self, **options):
        driver = Driver(high=1, **options)
        driver.decide(1)
        driver.refuse("0", Refusal.UNKNOWN, "timed out")
        return driver

    def test_a_block_without_an_answer_is_not_submitted_again_at_once(self):
        driver = self.submit_without_answer()
        assert driver.blocks.blocks_without_answer == ["0"]
        driver.now += 100
        assert driver.submit() == []
        driver.decide(0)
        driver.decide(0, after=200)
        assert driver.blocks.blocks_without_answer == ["0"], "it may run, so it is not forgotten either"

    def test_a_block_that_is_found_is_adopted(self):
        driver = self.submit_without_answer()
        driver.blocks.submissions.on_found({"0": "4711"}, driver.now, driver.now)
        assert driver.blocks.natives == {"0": "4711"}
        assert driver.blocks.stage("0") is Stage.PENDING
        driver.connect("0")
        assert driver.blocks.stage("0") is Stage.RUNNING

    def test_a_block_whose_manager_connected_before_it_was_found_runs(self):
        driver = self.submit_without_answer()
        driver.blocks.on_manager_connected("0", 1, driver.now)
        driver.blocks.submissions.on_found({}, driver.now, driver.now)
        assert driver.blocks.blocks_without_answer == ["0"], "the system is slow to list it"
        driver.blocks.submissions.on_found({"0": "4711"}, driver.now, driver.now)
        assert driver.blocks.stage("0") is Stage.RUNNING

    def lose_a_block(self):
        driver = self.submit_without_answer()
        driver.now += 1
        assert driver.blocks.submissions.on_found({}, driver.now, driver.now) == []
        driver.decide(1)
        assert driver.submit() == []
        return driver

    def test_a_block_that_is_not_found_failed_and_is_replaced_later_by_one_of_another_id(self):
        driver = self.lose_a_block()
        driver.now += 1
        assert driver.submit() == ["1"]

    def test_a_lost_block_that_is_listed_late_is_removed(self):
        driver = self.lose_a_block()
        driver.now += 1
        driver.submit()
        remove, report, forget = driver.blocks.submissions.on_found(
            {"0": "4711", "1": "native-1"}, driver.now, driver.now
        )
        assert remove == Remove("0", "4711")
        assert "started after it was given up" in report.reason
        assert forget == Forget("0")
        assert driver.blocks.natives == {"1": "native-1"}
        assert driver.blocks.submissions.on_found({"0": "4711"}, driver.now, driver.now) == []

    def test_a_lost_block_is_adopted_when_its_manager_connects(self):
        driver = self.lose_a_block()
        driver.blocks.on_manager_connected("0", 1, driver.now)
        assert driver.blocks.stage("0") is Stage.RUNNING
        assert driver.blocks.submissions.on_found({"0": "4711"}, driver.now, driver.now) == []
        assert driver.blocks.natives["0"] == "4711"

    def test_the_provider_is_asked_for_a_lost_block_until_the_startup_timeout(self):
        driver = self.lose_a_block()
        assert driver.blocks.submissions.lost.are_sought(driver.now + 299)
        assert not driver.blocks.submissions.lost.are_sought(driver.now + 300)
        assert list(driver.blocks.submissions.lost.ids) == ["0"]

    def test_a_connected_block_that_is_never_listed_is_drained(self):
        driver = self.submit_without_answer()
        driver.blocks.on_manager_connected("0", 1, driver.now)
        driver.blocks.submissions.on_found({}, driver.now, driver.now)
        driver.decide(0)
        assert driver.decide(0, after=200) == [OrderDrain("0")]
        assert driver.blocks.on_drained("0", driver.now) == []
        assert driver.blocks.blocks_without_answer == []
        assert driver.blocks.submissions.on_found({"0": "4711"}, driver.now, driver.now)[0] == Remove("0", "4711")

    def test_a_connected_block_that_is_not_listed_ends_with_its_last_manager(self):
        driver = self.submit_without_answer()
        driver.blocks.on_manager_connected("0", 1, driver.now)
        driver.blocks.on_manager_lost("0", 1, driver.now)
        (report,) = driver.blocks.submissions.on_found({}, driver.now, driver.now)
        assert (report.block, report.is_unexpected) == ("0", True)
        driver.decide(1)
        assert driver.submit() == ["1"]

    def test_a_provider_that_fails_to_list_blocks_is_quoted_in_the_failure(self):
        driver = self.submit_without_answer()
        for block in range(LIMIT_BEFORE_USE):
            actions = driver.blocks.submissions.on_unlistable("permission denied", driver.now)
            driver.now += 100
            driver.decide(1)
            if block < LIMIT_BEFORE_USE - 1:
                driver.refuse(str(block + 1), Refusal.UNKNOWN, "timed out")
        assert "permission denied" in gave_up(actions)[0]

    def test_blocks_that_are_never_found_end_the_executor_with_the_providers_words(self):
        driver = self.submit_without_answer()
        for block in range(1, LIMIT_BEFORE_USE):
            assert driver.blocks.submissions.on_found({}, driver.now, driver.now) == []
            driver.now += 100
            driver.decide(1)
            driver.refuse(str(block), Refusal.UNKNOWN, "timed out")
        (reason,) = gave_up(driver.blocks.submissions.on_found({}, driver.now, driver.now))
        assert "got no answer, and its provider does not list it. timed out" in reason

    def test_a_block_that_is_not_listed_yet_is_looked_for_again(self):
        driver = self.submit_without_answer(status_lag=60.0)
        driver.blocks.submissions.on_found({}, 59.0, 59.0)
        assert driver.blocks.blocks_without_answer == ["0"]
        driver.blocks.submissions.on_found({}, 60.0, 60.0)
        assert driver.blocks.blocks_without_answer == []

    def test_a_block_that_is_missing_in_the_answer_is_unconfirmed(self):
        driver = Driver(high=2)
        driver.decide(2)
        driver.blocks.submissions.take_batch(0.0)
        driver.answer({"0": "native-0"})
        assert driver.blocks.blocks_without_answer == ["1"]


class TestLifeOfABlock:
    def test_a_block_takes_no_other_step(self):
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
    def test_the_final_stage_of_a_block_depends_on_its_manager_and_its_state(self, connected, state, last):
        assert Block("0", Stage.RUNNING, connected_at=connected).final_stage(state) is last
        assert last in FINAL


class BlocksUnderAnyEvents(RuleBasedStateMachine):
    """A provider and an interchange that do anything at any time."""

    is_single_use = False

    def __init__(self):
        super().__init__()
        self.high, self.low = 3, 1
        self.blocks = make_blocks(
            strategy="htex_auto_scale", first=2, low=self.low, high=self.high, warm=1, single=self.is_single_use
        )
        self.now = 0.0
        self.tasks = 0
        self.at_provider = {}
        """Native id -> block: what the provider was asked for, and not to remove."""
        self.lost_answers = {}
        """Block -> native id of those that were started without an answer."""
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
                case OrderDrain(block):
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
        self.blocks.on_idle_times(dict.fromkeys(self.at_provider.values(), seconds))
        self.do(self.blocks.decide(Demand(tasks, 0, 0, tasks), self.now))

    @rule(data=st.data())
    def a_batch_is_submitted(self, data):
        answers = {}
        for block in self.blocks.submissions.take_batch(self.now):
            assert block not in self.at_provider.values()
            assert block not in self.lost_answers
            kind = data.draw(st.sampled_from(["accepted", "lost", *Refusal]))
            if kind == "accepted":
                answers[block] = f"native-{block}"
                self.at_provider[f"native-{block}"] = block
            elif kind == "lost":  # it was started, and nobody said so
                self.lost_answers[block] = f"native-{block}"
            else:
                answers[block] = Refused(kind, "no")
        self.do(self.blocks.submissions.on_answers(answers, self.now))

    @rule()
    def unconfirmed_blocks_are_looked_for(self):
        actions = self.blocks.submissions.on_found(self.lost_answers, self.now, self.now)
        self.at_provider |= {native: block for block, native in self.lost_answers.items()}
        self.lost_answers = {}
        self.do(actions)

    @rule(data=st.data())
    def a_manager_connects(self, data):
        if self.at_provider:
            block = data.draw(st.sampled_from(sorted(self.at_provider.values())))
            if block not in self.was_drained:
                self.do(self.blocks.on_status(block, BlockStatus(RUNNING), self.now))
                self.blocks.on_manager_connected(block, 2, self.now)
                self.managers[block] = self.managers.get(block, 0) + 1

    @rule(data=st.data())
    def a_manager_leaves(self, data):
        if connected := sorted(block for block, count in self.managers.items() if count):
            block = data.draw(st.sampled_from(connected))
            self.managers[block] -= 1
            self.blocks.on_manager_lost(block, 2, self.now)

    @rule(data=st.data())
    def all_managers_of_a_block_leave_by_themselves(self, data):
        if connected := sorted(block for block, count in self.managers.items() if count):
            block = data.draw(st.sampled_from(connected))
            for _ in range(self.managers.pop(block)):
                self.blocks.on_manager_lost(block, 2, self.now)
            if self.is_single_use:
                self.may_be_removed.add(block)
                self.was_drained.add(block)
            self.do(self.blocks.on_emptied(block, self.now))

    @rule()
    def drained_blocks_are_told_of(self):
        for block in sorted(self.told_to_drain - self.was_drained):
            if not self.managers.get(block):
                self.was_drained.add(block)
                self.may_be_removed.add(block)
                self.do(self.blocks.on_drained(block, self.now))

    @rule(data=st.data(), state=st.sampled_from([ENDED, FAILED, GONE]), cause=st.sampled_from([None, *EndCause]))
    def a_block_ends(self, data, state, cause):
        if self.at_provider:
            native = data.draw(st.sampled_from(sorted(self.at_provider)))
            block = self.at_provider[native]
            self.managers.pop(block, None)
            self.may_be_removed.add(block)
            self.do(self.blocks.on_status(block, BlockStatus(state, "words", cause), self.now))

    @rule()
    def late_ones_are_looked_for(self):
        for block in self.blocks.late_blocks(self.now):
            assert not self.managers.get(block)
            self.do(self.blocks.on_connection_timeout(block, "words", self.now))

    @invariant()
    def the_provider_has_the_blocks_that_are_known(self):
        assert {native: block for block, native in self.blocks.natives.items()} == self.at_provider

    @invariant()
    def there_are_never_more_than_allowed(self):
        assert len(self.at_provider) + len(self.lost_answers) <= self.high

    @invariant()
    def no_block_is_removed_twice(self):
        assert len(self.was_removed) == len(set(self.was_removed))

    @invariant()
    def a_block_drains_if_the_interchange_was_told(self):
        for block in self.at_provider.values():
            assert (self.blocks.stage(block) is Stage.DRAINING) == (block in self.told_to_drain)


BlocksUnderAnyEvents.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestBlocksUnderAnyEvents = BlocksUnderAnyEvents.TestCase


class BlocksOfSingleUseUnderAnyEvents(BlocksUnderAnyEvents):
    """The same, for blocks that end by themselves after their task."""

    is_single_use = True


BlocksOfSingleUseUnderAnyEvents.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBlocksOfSingleUseUnderAnyEvents = BlocksOfSingleUseUnderAnyEvents.TestCase
