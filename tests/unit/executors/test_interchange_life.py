"""Stories of interchanges that die, freeze, and are cut off."""

import math

import pytest

from cnflow.executors.high_throughput.interchange_life import (
    MOST_RESTARTS,
    RESTART_WINDOW,
    START_TIMEOUT,
    InterchangeLife,
    Order,
)

PERIOD, THRESHOLD, GRACE = 2.0, 20.0, 100.0
TICK = PERIOD / 2
"""As long as a period is at most an eighth of the threshold."""


@pytest.fixture
def life():
    return InterchangeLife(PERIOD, THRESHOLD)


@pytest.fixture
def elsewhere():
    """Interchange elsewhere, that is up since moment 0."""
    life = InterchangeLife(PERIOD, THRESHOLD, GRACE)
    life.on_launched(0.0)
    life.on_greeted()
    life.on_message()
    return life


def up(life, now):
    life.on_launched(now)
    life.on_message()


def silent_until(life, order, now):
    """Moment at which ticks without any message bring *order*."""
    while True:
        now = max(now, life.due)
        found = life.on_tick(now)
        if found is order:
            return now
        assert found is Order.HEARTBEAT


def test_interchange_that_dies_before_it_was_up_is_not_started_again(life):
    life.on_launched(0.0)
    assert life.on_ended(1.0, is_gone=False) is Order.GIVE_UP
    assert life.due == math.inf


def test_first_restart_is_at_once_and_later_ones_wait_longer_and_longer(life):
    up(life, 0.0)
    now, delays = 0.0, []
    for _ in range(MOST_RESTARTS):
        assert life.on_ended(now, is_gone=False) is None
        assert not life.is_up
        delays.append(life.due - now)
        now = life.due
        assert life.on_tick(now) is Order.START
        up(life, now)
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert len(set(delays)) > 3
    assert max(delays) < THRESHOLD / 4, "managers would end before"
    assert life.on_ended(now, is_gone=False) is Order.GIVE_UP
    assert life.restarts == MOST_RESTARTS


def test_restarts_are_forgotten_after_a_while(life):
    now = 0.0
    up(life, now)
    for _ in range(3 * MOST_RESTARTS):
        assert life.on_ended(now, is_gone=False) is None
        assert life.due == now
        assert life.on_tick(now) is Order.START
        up(life, now)
        now += RESTART_WINDOW


def test_silent_interchange_is_killed_before_its_managers_end(life):
    up(life, 0.0)
    assert THRESHOLD / 2 < silent_until(life, Order.KILL, 0.0) < THRESHOLD * 2 / 3


def test_any_message_ends_the_silence(life):
    up(life, 0.0)
    for n in range(1, 200):
        assert life.on_tick(n * TICK) is Order.HEARTBEAT
        if not n % 8:
            life.on_message()


def test_driver_that_was_stopped_itself_blames_no_interchange(life):
    up(life, 0.0)
    for n in range(1, 6):
        assert life.on_tick(n * 1000.0) is Order.HEARTBEAT


def test_starting_interchange_has_longer(life):
    life.on_launched(0.0)
    assert silent_until(life, Order.KILL, 0.0) >= START_TIMEOUT


def test_killed_process_that_does_not_end_is_killed_again(life):
    up(life, 0.0)
    first = silent_until(life, Order.KILL, 0.0)
    assert silent_until(life, Order.KILL, first) > first


def test_lost_connection_is_made_again_at_once_then_less_and_less_often(elsewhere):
    now, delays = 10.0, []
    for _ in range(8):
        assert elsewhere.on_ended(now, is_gone=False) is None
        assert elsewhere.is_attaching
        delays.append(round(elsewhere.due - now, 6))
        now = elsewhere.due
        assert elsewhere.on_tick(now) is Order.ATTACH
        elsewhere.on_launched(now)
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert elsewhere.restarts == 0


def test_connection_that_is_lost_again_and_again_is_made_again_without_limit(elsewhere):
    for n in range(1000):
        assert elsewhere.on_ended(float(n), is_gone=False) is None
        assert elsewhere.due == n
        assert elsewhere.on_tick(float(n)) is Order.ATTACH
        elsewhere.on_launched(float(n))
        elsewhere.on_greeted()
        elsewhere.on_message()


def test_connection_that_cannot_be_made_for_the_grace_loses_the_interchange(elsewhere):
    now, order = 10.0, None
    while order is None:
        order = elsewhere.on_ended(now, is_gone=False)
        if order is None:
            now = elsewhere.due
            elsewhere.on_tick(now)
            elsewhere.on_launched(now)
            now += 1
    assert order is Order.GIVE_UP
    assert GRACE < now - 10 < GRACE + 20


def test_interchange_elsewhere_that_is_gone_is_started_anew(elsewhere):
    assert elsewhere.on_ended(10.0, is_gone=True) is None
    assert elsewhere.on_tick(elsewhere.due) is Order.START
    assert elsewhere.restarts == 1


def test_silent_interchange_elsewhere_is_reached_anew_and_if_it_is_silent_still_replaced(elsewhere):
    now = silent_until(elsewhere, Order.KILL, 0.0)
    assert elsewhere.on_ended(now, is_gone=False) is None
    assert elsewhere.on_tick(now) is Order.ATTACH
    elsewhere.on_launched(now)
    elsewhere.on_greeted()
    now = silent_until(elsewhere, Order.KILL, now)
    assert now < THRESHOLD * 2 / 3, "its managers would have ended"
    assert elsewhere.on_ended(now, is_gone=False) is None
    assert elsewhere.on_tick(now) is Order.START


def test_silent_interchange_elsewhere_that_answers_over_a_new_connection_is_kept(elsewhere):
    now = silent_until(elsewhere, Order.KILL, 0.0)
    elsewhere.on_ended(now, is_gone=False)
    elsewhere.on_tick(now)
    elsewhere.on_launched(now)
    elsewhere.on_greeted()
    elsewhere.on_message()
    now = silent_until(elsewhere, Order.KILL, now)
    elsewhere.on_ended(now, is_gone=False)
    assert elsewhere.on_tick(now) is Order.ATTACH


def test_first_connection_that_fails_is_not_tried_again():
    life = InterchangeLife(PERIOD, THRESHOLD, GRACE)
    life.on_launched(0.0)
    assert life.on_ended(1.0, is_gone=False) is Order.GIVE_UP


def test_first_start_on_a_machine_that_was_reached_is_tried_again():
    life = InterchangeLife(PERIOD, THRESHOLD, GRACE, was_reached=True)
    life.on_launched(0.0)
    assert life.on_ended(1.0, is_gone=False) is None
    assert life.on_tick(life.due) is Order.START
    life.on_launched(life.due)
    assert life.on_ended(2.0, is_gone=False) is None
    assert life.on_tick(life.due) is Order.ATTACH, "it may have been started before its connection broke"
    life.on_launched(life.due)
    assert life.on_ended(3.0, is_gone=True) is None
    assert life.on_tick(life.due) is Order.START
