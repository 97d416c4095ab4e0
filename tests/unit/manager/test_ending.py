"""When a manager is to end."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.manager.shutdown import Shutdown, Stage, life_of_block


def test_without_an_end_only_a_signal_ends_it():
    ending = Shutdown(0, 8, None, None)
    ending.passed(1e9)
    assert (ending.stage, ending.next_at, ending.left(5)) == (Stage.WORKING, math.inf, math.inf)
    ending.signalled(100)
    assert (ending.stage, ending.next_at) == (Stage.ENDING, 108)
    ending.passed(107)
    assert ending.stage is Stage.ENDING
    ending.passed(108)
    assert (ending.stage, ending.next_at) == (Stage.CUT, math.inf)


def test_a_second_signal_means_at_once():
    ending = Shutdown(0, 8, None, None)
    ending.signalled(1)
    ending.signalled(2)
    assert ending.stage is Stage.CUT


def test_after_the_drain_period_it_takes_nothing_more_and_ends_what_it_has():
    ending = Shutdown(10, 8, 60, None)
    assert ending.next_at == 70
    ending.passed(70)
    assert (ending.stage, ending.next_at) == (Stage.DRAINING, math.inf)
    ending.signalled(80)
    assert ending.stage is Stage.ENDING


def test_all_is_over_before_the_block_ends():
    ending = Shutdown(0, 8, None, 3600)
    assert (ending.left(0), ending.next_at) == (3598, 3590)
    ending.passed(3590)
    assert ending.stage is Stage.ENDING
    ending.passed(3598)
    assert ending.stage is Stage.CUT


def test_a_block_that_is_shorter_than_the_grace_ends_at_once():
    ending = Shutdown(0, 8, None, 5)
    ending.passed(0)
    assert (ending.stage, ending.next_at) == (Stage.ENDING, 4.5)


@given(
    st.floats(0, 20),
    st.none() | st.floats(0.1, 100),
    st.none() | st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=12),
)
def test_it_goes_on_only_and_is_woken_when_there_is_something_to_do(grace, drain, life, steps):
    ending, now, stage = Shutdown(0, grace, drain, life), 0.0, Stage.WORKING
    for seconds, is_signal in steps:
        now += seconds
        due = ending.next_at
        ending.signalled(now) if is_signal else ending.passed(now)
        assert ending.stage >= stage
        assert is_signal or (ending.stage > stage) == (now >= due)
        stage = ending.stage
        assert ending.next_at > now


@pytest.mark.parametrize(
    ("environment", "walltime", "life"),
    [
        ({}, None, None),
        ({}, 60.0, 60.0),
        ({"SLURM_JOB_END_TIME": "1100"}, None, 100.0),
        ({"SLURM_JOB_END_TIME": "1100"}, 60.0, 60.0),
        ({"SLURM_JOB_END_TIME": "1100", "CNFLOW_BLOCK_ENDS_AT": "1030.5"}, None, 30.5),
        ({"PBS_WALLTIME": "3600"}, 7200.0, 3600.0),
        ({"SLURM_JOB_END_TIME": "soon"}, None, None),
        ({"SLURM_JOB_END_TIME": "900"}, None, 0.0),
    ],
)
def test_the_end_of_a_block_is_told_by_its_scheduler_or_its_provider(environment, walltime, life):
    assert life_of_block(environment, walltime, 1000.0) == life
