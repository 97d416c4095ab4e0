"""A controller on a provider whose calls hang, lie, forget, raise and answer late: stories, and random faults."""

import random

import pytest

from cnflow.errors import CnflowError
from cnflow.model.block import BlockState, BlockStatus
from cnflow.testing import Fault, FaultyProvider, RandomFaults, Script

GONE = BlockStatus(BlockState.GONE)


@pytest.fixture
def faulty(turns):
    """Makes a controller, turn by turn, on a provider with the faults given."""

    def make(faults, **options):
        return turns(
            wrap=lambda provider: FaultyProvider(provider, faults, 0.0), **{"startup_timeout": 100.0, **options}
        )

    return make


class TestSubmit:
    def test_other_blocks_are_followed_while_a_submission_hangs(self, turns):
        this = turns(max_blocks=2)
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.lanes["submit"].is_held = True
        this.want(2)
        this.turn()
        this.system.end("native-0", BlockState.FAILED, message="dead")
        this.turn(after=10)
        assert [block for block, _ in this.reports] == ["0"]

    def test_nothing_more_is_submitted_while_a_submission_hangs(self, turns):
        this = turns()
        this.lanes["submit"].is_held = True
        for tasks in (1, 2, 3):
            this.want(tasks)
            this.turn(after=10)
        assert len(this.lanes["submit"].held) == 1
        this.lanes["submit"].release()
        this.turn()
        assert this.submitted() == ["0", "1", "2"]

    def test_a_manager_that_connects_before_the_answer_has_a_block(self, turns):
        this = turns(max_blocks=1)
        this.lanes["submit"].is_held = True
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.turn(after=10)
        assert [(one.state, one.nodes) for one in this.controller.reports()] == [("running", 1)]
        this.lanes["submit"].release()
        this.turn()
        assert this.controller.natives() == {"native-0"}

    def test_a_block_on_its_way_is_not_dropped_when_the_tasks_are_gone(self, turns):
        this = turns(max_blocks=1, max_idletime=10.0)
        this.lanes["submit"].is_held = True
        this.want(1)
        this.turn()
        this.want(0)
        for _ in range(5):
            this.turn(after=10)
        this.lanes["submit"].release()
        for _ in range(3):
            this.turn(after=10)
        assert this.system.blocks == {}
        assert this.system.blocks_of("cancel") == ["native-0"]

    def test_a_submission_that_never_returns_is_warned_of_and_ends_the_executor(self, turns, caplog):
        this = turns(startup_timeout=100.0)
        this.lanes["submit"].is_held = True
        this.want(1)
        for _ in range(8):
            this.turn(after=10)
        assert "has not answered for 60 s to the submission of block 0" in caplog.text
        assert this.errors == []
        for _ in range(4):
            this.turn(after=10)
        assert "has not answered for 100 s" in str(this.errors[0])

    def test_a_submission_that_never_returned_ends_nothing_while_another_block_works(self, turns):
        this = turns(startup_timeout=100.0, max_blocks=2)
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.lanes["submit"].is_held = True
        this.want(2)
        for _ in range(20):
            this.turn(after=10)
        assert this.errors == []

    def test_a_block_that_starts_after_the_run_ended_is_cancelled_then(self, turns, caplog):
        this = turns()
        this.lanes["submit"].is_held = True
        this.want(1)
        this.turn()
        this.end_run()
        assert this.clock.now() <= 11.0
        assert "cnflow-r-htex-0 has not returned" in caplog.text or "blocks 0 has not returned" in caplog.text
        this.lanes["submit"].release()
        assert this.submitted() == ["0"]
        assert this.system.blocks == {}

    def test_an_id_that_two_blocks_got_is_believed_once(self, turns):
        this = turns(max_blocks=2)
        submit = this.provider.submit
        this.provider.submit = lambda requests: dict.fromkeys(submit(requests), "native-0")
        this.want(2)
        this.turn()
        assert this.controller.natives() == {"native-0"}
        this.turn(after=10)
        assert this.controller.natives() == {"native-0", "native-1"}

    def test_a_second_start_of_a_block_is_removed(self, turns, caplog):
        this = turns(max_blocks=2)
        this.want(1)
        this.turn()
        this.lose_a_submission(tasks=2)
        find = this.provider.find
        this.provider.find = lambda run, label: {**find(run, label), "0": "native-0-again"}
        this.turn(after=10)
        assert "native-0-again is removed" in caplog.text
        assert this.system.blocks_of("cancel") == ["native-0-again"]
        assert this.controller.natives() == {"native-0", "native-1"}

    def test_a_refusal_of_a_block_that_runs_is_not_believed(self, turns):
        this = turns(max_blocks=1)
        this.lanes["submit"].is_held = True
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.turn()
        this.system.loses_answers = True
        this.lanes["submit"].release()
        this.system.loses_answers = False
        this.turn(after=10)
        assert this.controller.natives() == {"native-0"}


class TestStatus:
    def test_a_block_accepted_after_the_question_is_not_missing_in_the_answer(self, turns):
        this = turns(max_blocks=2)
        this.want(1)
        this.turn()
        this.lanes["query"].is_held = True
        this.turn(after=10)
        this.want(2)
        this.turn()
        assert this.controller.natives() == {"native-0", "native-1"}
        this.lanes["query"].release()
        this.turn()
        assert this.controller.natives() == {"native-0", "native-1"}

    def test_a_block_submitted_after_the_question_is_not_lost_by_the_answer(self, turns):
        this = turns(max_blocks=2)
        this.lose_a_submission()
        this.lanes["query"].is_held = True
        this.turn(after=10)
        found = this.provider.find("r", "htex")
        this.provider.find = lambda run, label: found
        this.lose_a_submission(tasks=2)
        this.turn()
        this.lanes["query"].release()
        this.turn()
        assert this.controller.unconfirmed() == [] or this.controller.unconfirmed() == ["1"]
        assert this.errors == []

    def test_a_report_on_a_block_that_was_removed_since_is_dropped(self, turns):
        this = turns(max_idletime=10.0, max_blocks=1)
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.turn()
        this.lanes["query"].is_held = True
        this.want(0)
        this.turn(after=10)
        this.turn(after=10)
        assert this.controller.reports() == []
        this.lanes["query"].release()
        this.turn()
        assert this.reports == []
        assert this.system.blocks_of("cancel") == ["native-0"]

    def test_gone_within_the_lag_of_the_question_is_no_end_however_late_the_answer(self, turns):
        this = turns(status_lag=30.0, max_blocks=1)
        this.want(1)
        this.turn()
        this.provider.status = lambda blocks: dict.fromkeys(blocks, GONE)
        this.lanes["query"].is_held = True
        this.turn(after=10)
        this.turn(after=100)
        this.lanes["query"].release()
        this.turn()
        assert this.controller.natives() == {"native-0"}

    def test_no_block_is_submitted_while_the_provider_does_not_report(self, turns, caplog):
        this = turns()
        this.want(1)
        this.turn()
        this.controller.on_manager_connected("0", 1)
        this.lanes["query"].is_held = True
        for _ in range(9):
            this.turn(after=10)
        assert "has not reported on blocks" in caplog.text
        this.want(3)
        this.turn()
        assert this.submitted() == ["0"]
        this.lanes["query"].release()
        this.turn()
        this.turn()
        assert this.submitted() == ["0", "1", "2"]

    def test_a_log_that_cannot_be_read_holds_back_the_end_of_a_block_for_ten_seconds(self, turns):
        this = turns(logs="on request", max_blocks=1)
        this.want(1)
        this.turn()
        this.lanes["logs"].is_held = True
        this.system.end("native-0")
        this.turn(after=10)
        assert this.reports == []
        this.turn(after=10)
        assert [block for block, _ in this.reports] == ["0"]


class TestCancel:
    def test_a_cancel_that_hangs_keeps_no_block_from_ending(self, turns):
        this = turns(max_blocks=2)
        this.want(2)
        this.turn()
        this.lanes["cancel"].is_held = True
        for block in ("0", "1"):
            this.controller.on_manager_connected(block, 1)
            this.system.end(f"native-{block}", BlockState.FAILED)
            this.turn(after=10)
        assert [block for block, _ in this.reports] == ["0", "1"]
        assert len(this.lanes["cancel"].held) == 1

    def test_the_end_of_a_run_does_not_wait_for_ever_for_a_cancel(self, turns, caplog):
        this = turns()
        this.want(1)
        this.turn()
        this.lanes["cancel"].is_held = True
        this.end_run()
        assert this.clock.now() <= 30.0
        assert "the end of block native-0 of executor htex was not confirmed" in caplog.text
        this.lanes["cancel"].release()
        assert this.system.blocks == {}


def test_everything_of_a_block_that_is_over_is_forgotten(turns):
    this = turns(max_blocks=1)
    this.want(1)
    for number in range(5):
        this.turn(after=60)
        this.controller.on_manager_connected(str(number), 1)
        this.turn()
        this.system.end(f"native-{number}", BlockState.FAILED)
        this.turn(after=60)
    assert this.forgotten[:5] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("call", ["submit", "status", "cancel", "find"])
def test_a_bug_of_a_provider_ends_the_run_and_leaves_no_block(faulty, call):
    this = faulty(Script(**{call: [Fault.RAISE]}))
    this.want(1)
    if call == "find":
        this.system.loses_answers = True
    with pytest.raises(CnflowError, match=r"FaultyProvider\.\w+ raised ZeroDivisionError"):
        this.run_turns(after=10, end="native-0" if call == "cancel" else "")
    this.system.loses_answers = False
    this.end_run_after_error()
    assert this.system.blocks == {}


RATES = {
    "submit": {Fault.LOSE: 0.2, Fault.FAIL: 0.1, Fault.NONSENSE: 0.1, Fault.FORGET: 0.1},
    "find": {Fault.FAIL: 0.2},
    "status": {Fault.FAIL: 0.2, Fault.FORGET: 0.2},
    "cancel": {Fault.FAIL: 0.2, Fault.LOSE: 0.2},
    "logs": {Fault.FAIL: 0.3, Fault.RAISE: 0.3, Fault.NONSENSE: 0.2},
}


@pytest.mark.parametrize("seed", range(30))
def test_random_faults_leave_no_block_and_never_more_than_max_blocks(faulty, seed):
    chance = random.Random(seed)
    this = faulty(RandomFaults(chance, RATES), max_blocks=3, logs="on request")
    for _ in range(60):
        this.want(chance.randrange(4))
        this.turn(after=chance.choice([0.5, 10.0]))
        if this.system.blocks and chance.random() < 0.3:
            this.system.end(chance.choice(sorted(this.system.blocks)), BlockState.FAILED, message="words")
        assert len(this.controller.reports()) <= 3
    assert len(set(this.submitted())) == len(this.submitted())
    this.end_run()
    left = {native for native, block in this.system.blocks.items() if not block.status.state.is_final}
    assert left <= this.controller.natives(), "a block is left without a word"
