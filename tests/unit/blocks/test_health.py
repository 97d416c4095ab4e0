import random

import pytest

from cnflow.blocks import backoff as on
from cnflow.blocks.backoff import Backoff


@pytest.fixture
def health():
    return Backoff(random.Random(1))


def delays_of(health, times):
    now, delays = 0.0, []
    for _ in range(times):
        health.failed(now)
        delays.append(health.may_start_at(now) - now)
        now += 1_000
    return delays


def test_delays_double_up_to_a_minute_and_are_spread(health):
    expected = [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    delays = delays_of(health, len(expected))
    assert all(full / 2 <= delay <= full for delay, full in zip(delays, expected, strict=True))
    assert delays != delays_of(Backoff(random.Random(2)), len(expected))


def test_a_good_block_ends_the_waiting(health):
    health.failed(0.0)
    assert health.is_probing
    health.connected()
    assert not health.is_probing
    assert health.may_start_at(0.0) == 0.0


def test_hope_is_lost_sooner_before_any_block_was_good(health):
    delays_of(health, on.LIMIT_BEFORE_USE - 1)
    assert not health.is_hopeless
    health.failed(0.0)
    assert health.is_hopeless
    health.connected()
    delays_of(health, on.LIMIT_AFTER_USE - 1)
    assert not health.is_hopeless
    health.failed(0.0)
    assert health.is_hopeless


def test_the_first_early_death_costs_nothing_and_many_slow_down_but_never_end(health):
    health.connected()
    health.died_early(0.0)
    assert health.may_start_at(0.0) == 0.0
    for _ in range(50):
        health.connected()
        health.died_early(0.0)
    assert 1.0 < health.may_start_at(0.0) <= on.LONGEST_EARLY_DELAY
    assert health.failure_rate == pytest.approx(0.5)
    assert health.is_probing
    assert not health.is_hopeless


def test_the_failure_rate_forgets(health):
    delays_of(health, 20)
    for _ in range(on.WINDOW):
        health.connected()
    assert health.failure_rate == 0.0


def test_a_busy_provider_is_left_alone_for_longer_and_longer_but_is_not_bad(health):
    waits = []
    for _ in range(20):
        health.busy(0.0)
        waits.append(health.may_start_at(0.0))
    assert waits[0] <= 0.5 < waits[3]
    assert not health.is_hopeless
    assert not health.is_probing


def test_only_so_many_blocks_are_asked_for_in_a_moment(health):
    for _ in range(on.AT_ONCE):
        assert health.may_start_at(10.0) == 10.0
        health.starts(10.0)
    assert health.may_start_at(10.0) == pytest.approx(10.0 + 1 / on.PER_SECOND)
    assert health.may_start_at(11.0) == 11.0
