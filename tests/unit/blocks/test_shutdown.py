"""Ends of runs: every block is cancelled, or a warning names it."""

import pytest

from cnflow.blocks.removals import Removals
from cnflow.blocks.shutdown import Shutdown
from cnflow.errors import BlockError, CnflowError


def fail(error):
    def call(*_args):
        raise error

    return call


def test_a_block_that_is_not_listed_yet_is_waited_for(turns):
    this = turns(status_lag=30.0)
    this.system.lists_after = 20.0
    this.lose_a_submission()
    this.end_run()
    assert this.system.blocks == {}
    assert this.clock.now() < 30.0


def test_a_block_that_is_never_listed_is_named_in_a_warning(turns, caplog):
    this = turns(status_lag=1e9)
    this.system.lists_after = 1e9
    this.lose_a_submission()
    this.end_run()
    assert "blocks cnflow-r-htex-0 got no answer; they may run on: the provider does not list them" in caplog.text
    assert this.clock.now() <= 61.0


def test_warning_has_the_name_under_which_the_system_lists_the_block():
    end = Shutdown("my executor", lambda: "r", Removals(1.0), 0.0, 0.0)
    end.begin([], {}, ["0"])
    assert end.take_find(0.0)
    end.on_found({}, "", 0.0)
    assert end.is_over(0.0)
    (words,) = end.warnings
    assert "blocks cnflow-r-my-executor-0 got no answer" in words


@pytest.mark.parametrize("error", [BlockError("may not list"), KeyError("x")])
def test_blocks_are_cancelled_although_others_cannot_be_found(turns, caplog, error):
    this = turns(max_blocks=2)
    this.want(1)
    this.turn()
    this.lose_a_submission(tasks=2)
    this.provider.find = fail(error)
    this.end_run()
    assert list(this.system.blocks) == ["native-1"]
    assert "cnflow-r-htex-1 got no answer" in caplog.text


def test_blocks_are_cancelled_although_the_watch_cannot_be_ended(turns):
    this = turns()
    this.want(1)
    this.turn()
    this.provider.watch = lambda changed: fail(RuntimeError("watch"))
    this.end_run()
    assert this.system.blocks == {}


@pytest.mark.parametrize("error", [BlockError("no answer"), RuntimeError("no cancel")])
def test_blocks_are_cancelled_again_until_the_provider_confirms_it(turns, error):
    this = turns()
    this.want(1)
    this.turn()
    cancel = this.provider.cancel

    def cancel_later(blocks):
        this.provider.cancel = cancel
        raise error

    this.provider.cancel = cancel_later
    this.end_run()
    assert this.system.blocks == {}


def test_blocks_whose_end_is_never_confirmed_are_named_in_a_warning(turns, caplog):
    this = turns()
    this.want(1)
    this.turn()
    this.system.is_deaf = True
    this.end_run()
    assert this.system.blocks_of("cancel") == ["native-0"] * 10
    assert (
        "the end of block native-0 of executor htex was not confirmed; it may run on: the system is deaf" in caplog.text
    )
    assert this.controller.natives() == {"native-0"}


def test_blocks_that_started_before_their_submission_failed_are_cancelled(turns):
    this = turns(max_blocks=2)
    submit = this.provider.submit

    def start_one(requests):
        submit(requests[:1])
        raise KeyError("x")

    this.provider.submit = start_one
    this.want(2)
    with pytest.raises(CnflowError, match=r"FakeProvider\.submit raised KeyError"):
        this.controller.run()
    assert this.submitted() == ["0"]
    assert this.system.blocks == {}


def test_the_provider_is_asked_again_for_blocks_if_it_could_not_list_them(turns):
    this = turns()
    this.lose_a_submission()
    find = this.provider.find

    def find_later(run, executor):
        this.provider.find = find
        raise BlockError("no answer")

    this.provider.find = find_later
    this.end_run()
    assert this.system.blocks == {}
