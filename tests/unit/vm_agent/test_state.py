"""The course of an agent: when it signals its manager."""

import math
import signal

from hypothesis import given
from hypothesis import strategies as st

from cnflow.units import Seconds
from cnflow.vm_agent.state import Course, Step

USR1, TERM, KILL = signal.SIGUSR1, signal.SIGTERM, signal.SIGKILL


def test_notice_drains_the_manager_and_ends_it_before_the_machine():
    course = Course(Seconds(0), 8)
    assert course.on_notice(120, Seconds(100)) == [USR1]
    assert course.next_step_at == 100 + 120 - 8 - 5
    assert course.on_tick(Seconds(206)) == []
    assert course.on_tick(Seconds(207)) == [TERM]


def test_notice_that_leaves_no_time_ends_the_manager_at_once():
    course = Course(Seconds(0), 30)
    assert course.on_notice(20, Seconds(100)) == [USR1, TERM]


def test_second_notice_drains_nothing_again():
    course = Course(Seconds(0), 8)
    course.on_notice(120, Seconds(0))
    assert course.on_notice(60, Seconds(1)) == []
    assert course.next_step_at == 1 + 60 - 13


def test_command_in_place_of_a_manager_gets_no_notice():
    assert Course(Seconds(0), 8, drains=False).on_notice(120, Seconds(0)) == []


def test_order_ends_a_manager_and_kills_it_after_the_grace_period():
    course = Course(Seconds(0), 8)
    assert course.on_order(Seconds(1)) == [TERM]
    assert course.on_order(Seconds(2)) == []
    assert course.on_tick(Seconds(14)) == [KILL]
    assert course.next_step_at == math.inf


def test_life_that_is_over_ends_the_manager():
    course = Course(Seconds(0), 8, life=60)
    assert course.on_tick(Seconds(59)) == []
    assert course.on_tick(Seconds(60)) == [TERM]
    assert course.on_notice(120, Seconds(61)) == []


EVENTS = st.lists(st.tuples(st.sampled_from(["notice", "order", "tick"]), st.floats(0, 200)), max_size=30)


@given(EVENTS, st.floats(0, 60), st.none() | st.floats(0, 500))
def test_signals_come_in_order_and_each_once(events, grace, life):
    course, now, sent = Course(Seconds(0), grace, life), 0.0, []
    for name, value in events:
        now += value
        before = course.step
        if name == "notice":
            sent += course.on_notice(value, Seconds(now))
        else:
            sent += (course.on_order if name == "order" else course.on_tick)(Seconds(now))
        assert course.step >= before
        assert course.next_step_at > now or course.step is Step.RUNNING or name != "tick"
    assert sent in ([], [USR1], [TERM], [USR1, TERM], [TERM, KILL], [USR1, TERM, KILL])
