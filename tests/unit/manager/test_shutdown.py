import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.manager.shutdown import Shutdown, Stage, seconds_to_block_end


def test_only_a_signal_ends_a_manager_whose_block_has_no_end():
    shutdown = Shutdown(0, 8, None, None)
    shutdown.on_tick(1e9)
    assert (shutdown.stage, shutdown.next_step_at, shutdown.seconds_left(5)) == (Stage.WORKING, math.inf, math.inf)
    shutdown.on_signal(100)
    assert (shutdown.stage, shutdown.next_step_at) == (Stage.ENDING, 108)
    shutdown.on_tick(107)
    assert shutdown.stage is Stage.ENDING
    shutdown.on_tick(108)
    assert (shutdown.stage, shutdown.next_step_at) == (Stage.CUT, math.inf)


def test_a_second_signal_cuts_tasks_off_at_once():
    shutdown = Shutdown(0, 8, None, None)
    shutdown.on_signal(1)
    shutdown.on_signal(2)
    assert shutdown.stage is Stage.CUT


def test_a_manager_drains_after_the_drain_period():
    shutdown = Shutdown(10, 8, 60, None)
    assert shutdown.next_step_at == 70
    shutdown.on_tick(70)
    assert (shutdown.stage, shutdown.next_step_at) == (Stage.DRAINING, math.inf)
    shutdown.on_signal(80)
    assert shutdown.stage is Stage.ENDING


def test_tasks_are_cut_off_before_the_block_ends():
    shutdown = Shutdown(0, 8, None, 3600)
    assert (shutdown.seconds_left(0), shutdown.next_step_at) == (3598, 3590)
    shutdown.on_tick(3590)
    assert shutdown.stage is Stage.ENDING
    shutdown.on_tick(3598)
    assert shutdown.stage is Stage.CUT


@pytest.mark.parametrize(("life", "end_at", "cut_at"), [(8, 5.2, 7.2), (5, 3.25, 4.5), (30, 20.5, 28), (32, 22, 30)])
def test_the_grace_takes_a_quarter_of_a_short_block_at_most(life, end_at, cut_at):
    shutdown = Shutdown(0, 8, None, life)
    shutdown.on_tick(0)
    assert (shutdown.stage, shutdown.next_step_at) == (Stage.WORKING, pytest.approx(end_at))
    assert shutdown.seconds_left(0) == pytest.approx(cut_at)
    shutdown.on_signal(1)
    assert (shutdown.stage, shutdown.next_step_at) == (Stage.ENDING, pytest.approx(1 + min(8, life / 4)))


@given(
    st.floats(0, 20),
    st.none() | st.floats(0.1, 100),
    st.none() | st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=12),
)
def test_stages_only_advance_and_each_step_is_announced(grace, drain, life, steps):
    shutdown, now, stage = Shutdown(0, grace, drain, life), 0.0, Stage.WORKING
    for seconds, is_signal in steps:
        now += seconds
        due = shutdown.next_step_at
        shutdown.on_signal(now) if is_signal else shutdown.on_tick(now)
        assert shutdown.stage >= stage
        assert is_signal or (shutdown.stage > stage) == (now >= due)
        stage = shutdown.stage
        assert shutdown.next_step_at > now


@pytest.mark.parametrize(
    ("environment", "walltime", "life"),
    [
        ({}, None, None),
        ({}, 60.0, 60.0),
        ({"CNFLOW_BLOCK_ENDS_AT": "1100"}, None, 100.0),
        ({"CNFLOW_BLOCK_ENDS_AT": "1100"}, 60.0, 60.0),
        ({"CNFLOW_BLOCK_ENDS_AT": "1030.5"}, 7200.0, 30.5),
        ({"CNFLOW_BLOCK_ENDS_AT": ""}, 60.0, 60.0),
        ({"CNFLOW_BLOCK_ENDS_AT": "soon"}, None, None),
        ({"CNFLOW_BLOCK_ENDS_AT": "900"}, None, 0.0),
        ({"SLURM_JOB_END_TIME": "1100", "PBS_WALLTIME": "3600"}, None, None),
    ],
)
def test_the_end_of_a_block_comes_from_its_environment_or_the_walltime(environment, walltime, life):
    assert seconds_to_block_end(environment, walltime, 1000.0) == life


def test_whole_life_stays_the_same_while_what_is_left_shrinks():
    shutdown = Shutdown(now=100, grace=8, drain_period=None, life=3600)
    assert (shutdown.life, shutdown.seconds_left(100)) == (3598, 3598)
    shutdown.on_signal(1000)
    assert (shutdown.life, shutdown.seconds_left(1000)) == (3598, 8)


def test_a_notice_lets_a_manager_drain():
    shutdown = Shutdown(0.0, 8.0, None, 600.0)
    shutdown.on_notice(100.0)
    assert shutdown.stage is Stage.DRAINING
    shutdown.on_tick(599.0)
    assert shutdown.stage is Stage.CUT
