"""The controller, on a provider and an interchange in memory: as a thread, and turn by turn on a clock of the test."""

import logging

import pytest

from cnflow.errors import BlockError, CnflowError, ImageNotFoundError
from cnflow.model.block import BlockState, EndCause, Refused


def test_a_burst_of_tasks_is_followed_at_once_however_seldom_the_provider_is_polled(setting):
    this = setting()
    for tasks in range(1, 30):
        this.want(tasks)
    this.wait_for(lambda: this.submitted() == ["0", "1", "2", "3"])
    assert this.controller.living <= 4


def test_init_blocks_are_started_without_a_task(setting):
    this = setting(init_blocks=2)
    this.wait_for(lambda: this.submitted() == ["0", "1"])


def test_a_block_is_drained_before_it_is_cancelled(setting):
    this = setting(poll_period=0.01, max_idletime=0.05)
    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    this.controller.on_manager_connected("0", 1)
    this.want(0)
    this.wait_for(lambda: this.system.blocks_of("cancel") == ["native-0"])
    assert this.system.calls.index(("drain", "0")) < this.system.calls.index(("cancel", "native-0"))
    assert this.reports == []


def test_a_provider_that_does_not_answer_is_asked_for_nothing_more(setting):
    this = setting(poll_period=0.01)
    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    this.controller.on_manager_connected("0", 1)
    this.system.is_silent = True
    polls = this.polls()
    this.wait_for(lambda: this.polls() > polls + 1)
    this.want(4)
    polls = this.polls()
    this.wait_for(lambda: this.polls() > polls + 3)
    assert this.submitted() == ["0"]
    this.system.is_silent = False
    this.wait_for(lambda: this.submitted() == ["0", "1", "2", "3"])


def test_a_refusal_for_good_is_given_up_with_the_providers_own_error(setting):
    this = setting()
    error = ImageNotFoundError("no such image")
    this.system.refusal = Refused.by(error)
    this.want(1)
    this.wait_for(lambda: this.errors != [])
    assert this.errors == [error]


def test_a_provider_that_raises_for_a_batch_refuses_all_of_it(setting):
    this = setting()
    error = ImageNotFoundError("no such image")

    def submit(requests):
        raise error

    this.provider.submit = submit
    this.want(3)
    this.wait_for(lambda: this.errors != [])
    assert this.errors == [error]


def test_a_provider_that_raises_without_an_answer_may_have_started_the_batch(turns):
    this = turns(max_blocks=2)
    submit = this.provider.submit

    def time_out(requests):
        submit(requests[:1])
        raise BlockError("sbatch: timed out")

    this.provider.submit = time_out
    this.want(2)
    this.controller.take_turn()
    this.provider.submit = submit
    this.clock.advance(10)
    this.controller.take_turn()
    this.controller.on_manager_connected("0", 1)
    this.controller.take_turn()
    assert sorted(this.system.blocks) == ["native-0", "native-2"]
    assert this.submitted() == ["0", "2"]


def test_the_end_of_a_block_is_reported_with_the_end_of_its_log(setting, tmp_path):
    this = setting(poll_period=0.01)
    (tmp_path / "0.log").write_text("out of licences\n")
    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    this.system.end("native-0")
    this.wait_for(lambda: this.submitted() == ["0", "1"])
    ((block, reason),) = this.reports
    assert block == "0"
    assert "out of licences" in reason


@pytest.mark.parametrize(("run_ends", "level"), [(False, logging.WARNING), (True, logging.INFO)])
def test_block_that_ends_with_its_run_is_no_news(setting, caplog, run_ends, level):
    caplog.set_level(logging.INFO, "cnflow")
    this = setting(poll_period=0.01)
    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    if run_ends:
        this.controller.on_run_ending()
    this.system.end("native-0")
    this.wait_for(lambda: this.reports)
    (record,) = [record for record in caplog.records if "Block 0" in record.getMessage()]
    assert record.levelno == level


@pytest.mark.parametrize("raises", [False, True])
def test_a_block_that_could_not_be_removed_is_removed_later(setting, raises):
    this = setting(poll_period=0.01)
    cancel = this.provider.cancel

    def refuse(blocks):
        cancel(blocks)
        raise BlockError("it does not answer")

    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    this.controller.on_manager_connected("0", 1)
    this.system.is_deaf = True
    if raises:
        this.provider.cancel = refuse
    this.system.end("native-0")
    this.wait_for(lambda: this.system.blocks_of("cancel").count("native-0") > 2)
    assert this.errors == []
    assert "native-0" in this.system.blocks
    this.system.is_deaf = False
    this.provider.cancel = cancel
    this.wait_for(lambda: "native-0" not in this.system.blocks)
    this.wait_for(lambda: this.submitted() == ["0", "1"])


def test_a_watch_makes_the_next_poll_come_at_once(setting):
    this = setting(poll_period=600.0, has_watch=True)
    this.want(1)
    this.wait_for(lambda: this.submitted() == ["0"])
    this.controller.on_manager_connected("0", 1)
    this.system.end("native-0")
    this.wait_for(lambda: this.submitted() == ["0", "1"])


def test_a_batch_is_submitted_in_one_call(turns):
    this = turns()
    batches = []
    submit = this.provider.submit
    this.provider.submit = lambda requests: (batches.append([one.block for one in requests]), submit(requests))[1]
    this.want(3)
    this.controller.take_turn()
    assert batches == [["0", "1", "2"]]


def test_a_block_whose_submission_got_no_answer_is_adopted_once_it_is_found(turns):
    this = turns()
    this.system.loses_answers = True
    this.want(1)
    this.controller.take_turn()
    assert (this.submitted(), this.controller.living) == (["0"], 0)
    this.clock.advance(10)
    this.controller.take_turn()
    assert (this.submitted(), this.controller.living) == (["0"], 1)


def test_a_block_whose_submission_was_lost_is_replaced(turns):
    this = turns()
    this.lose_a_submission()
    this.system.blocks.clear()
    for _ in range(2):
        this.turn(after=10)
    assert (this.submitted(), this.controller.living) == (["0", "1"], 1)


def test_a_lost_block_that_starts_late_is_cancelled_and_its_replacement_works(turns):
    this = turns(max_blocks=1)
    this.system.lists_after = 15.0
    this.lose_a_submission()
    this.turn(after=10)
    this.system.lists_after = 0.0
    this.turn(after=10)
    this.turn(after=10)
    assert (this.submitted(), list(this.system.blocks)) == (["0", "1"], ["native-1"])
    assert this.errors == []


def test_a_manager_that_connects_after_its_block_was_lost_has_a_block(turns):
    this = turns(max_blocks=1)
    this.system.lists_after = 15.0
    this.lose_a_submission()
    this.turn(after=10)
    this.controller.on_manager_connected("0", 1)
    for _ in range(3):
        this.turn(after=10)
    assert this.submitted() == ["0"]
    assert [(one.block, one.native, one.nodes) for one in this.controller.reports()] == [("0", "native-0", 1)]
    this.end_run()
    assert this.system.blocks == {}


def test_a_connected_block_that_is_never_listed_is_scaled_in_and_named_at_the_end(turns, caplog):
    this = turns(max_idletime=20.0)
    this.system.lists_after = 1e9
    this.lose_a_submission()
    this.controller.on_manager_connected("0", 1)
    this.tasks = 0
    for _ in range(4):
        this.turn(after=10)
    assert this.system.blocks_of("drain") == ["0"]
    assert this.controller.reports() == []
    this.end_run()
    assert "cnflow-r-htex-0 got no answer" in caplog.text


def test_a_provider_that_fails_to_list_blocks_does_not_freeze_the_others(turns):
    this = turns(max_blocks=2)
    this.want(1)
    this.turn()
    this.controller.on_manager_connected("0", 1)
    this.lose_a_submission(tasks=2)
    this.system.is_unlistable = True
    this.system.end("native-0", BlockState.FAILED, message="dead")
    this.turn(after=10)
    assert [block for block, _ in this.reports] == ["0"]
    for _ in range(3):
        this.turn(after=10)
    assert this.submitted() == ["0", "1"], "no more blocks while some may be unknown"
    for _ in range(3):
        this.turn(after=10)
    assert this.submitted()[2:] != []


def test_a_provider_that_does_not_answer_at_all_costs_no_block(turns):
    this = turns(max_blocks=2)
    this.want(1)
    this.turn()
    this.controller.on_manager_connected("0", 1)
    this.lose_a_submission(tasks=2)
    this.system.is_silent = True
    for _ in range(20):
        this.turn(after=10)
    this.system.is_silent = False
    this.turn(after=10)
    assert (this.submitted(), this.controller.living, this.errors) == (["0", "1"], 2, [])


def test_a_block_without_an_answer_is_cancelled_too_when_the_run_ends(turns):
    this = turns()
    this.system.loses_answers = True
    this.want(1)
    this.controller.take_turn()
    this.controller.stop()
    this.controller.run()
    assert this.system.blocks == {}


def test_a_block_that_the_provider_does_not_report_is_left_as_it_is(turns):
    this = turns()
    this.want(1)
    this.controller.take_turn()
    this.provider.status = lambda blocks: {}
    this.clock.advance(1000)
    this.controller.take_turn()
    assert this.controller.living == 1
    assert this.reports == []


def test_preemptions_are_no_failures_of_the_provider(turns):
    this = turns(max_blocks=1)
    this.want(1)
    for block in range(10):
        this.controller.take_turn()
        this.controller.on_manager_connected(str(block), 1)
        this.turn(after=40)
        this.system.end(f"native-{block}", BlockState.FAILED, cause=EndCause.PREEMPTED)
        this.clock.advance(10)
    assert this.submitted() == [str(block) for block in range(10)]
    assert this.errors == []


def test_a_block_whose_manager_does_not_connect_is_replaced_and_reported_with_its_addresses(turns, caplog):
    this = turns(startup_timeout=60.0, max_blocks=1)
    this.want(1)
    for _ in range(9):
        this.controller.take_turn()
        this.clock.advance(10)
    assert "for 60 s no manager of it was connected" in caplog.text
    assert "ipc://x" in caplog.text
    assert this.submitted() == ["0", "1"]


@pytest.mark.parametrize("connects", [True, False])
def test_silence_of_the_provider_is_no_time_that_a_manager_had_to_connect(turns, caplog, connects):
    this = turns(startup_timeout=60.0, max_blocks=1)
    this.want(1)
    for _ in range(3):
        this.turn(after=10)
    this.system.is_silent = True
    for _ in range(20):
        this.turn(after=10)
    this.system.is_silent = False
    for _ in range(2):
        this.turn(after=10)
    assert "no manager of it was connected" not in caplog.text
    if connects:
        this.controller.on_manager_connected("0", 1)
    for _ in range(9):
        this.turn(after=10)
    assert this.submitted() == (["0"] if connects else ["0", "1"])


@pytest.mark.parametrize("answer", [None, 7, ""])
def test_an_answer_of_another_type_than_promised_counts_as_no_answer(turns, answer):
    this = turns(max_blocks=1)
    submit = this.provider.submit

    def lose(requests):
        submit(requests)
        return {requests[0].block: answer}

    this.provider.submit = lose
    this.want(1)
    this.turn()
    assert this.controller.living == 0
    this.turn(after=10)
    assert (this.controller.living, this.submitted()) == (1, ["0"])


def test_an_unexpected_error_names_the_provider_and_its_method(turns):
    this = turns()
    this.want(1)
    this.turn()
    this.provider.status = lambda blocks: {}["x"]
    with pytest.raises(CnflowError, match=r"FakeProvider\.status raised KeyError: 'x'"):
        this.turn(after=10)


def test_a_watch_that_reports_changes_all_the_time_causes_one_status_query_a_second(turns):
    this = turns(poll_period=600.0)
    this.want(1)
    this.turn()
    polls = this.polls()
    for _ in range(100):
        this.controller.on_provider_changed()
        this.turn(after=0.1)
    assert polls + 9 <= this.polls() <= polls + 11


def test_the_end_of_a_block_is_reported_with_its_output_as_the_provider_reads_it(turns):
    this = turns(logs="on request")
    this.want(1)
    this.turn()
    asked = []

    def read(native, node, last):
        asked.append((native, node))
        return b"no licence left\n"

    this.provider.logs = read
    this.system.end("native-0")
    this.turn(after=10)
    assert asked == [("native-0", 0)]
    assert "no licence left" in this.reports[0][1]


def test_the_end_of_a_block_is_reported_without_its_output_if_that_cannot_be_read(turns):
    this = turns(logs="on request")
    this.want(1)
    this.turn()
    this.provider.logs = lambda native, node, last: {}["x"]
    this.system.end("native-0")
    this.turn(after=10)
    assert [block for block, _ in this.reports] == ["0"]
