import random

import pytest

from cnflow.blocks import backoff as on
from cnflow.blocks.backoff import Backoff
from cnflow.model.traits import Traits


@pytest.fixture
def backoff():
    return Backoff(random.Random(1))


def delays_of(backoff, times):
    now, delays = 0.0, []
    for _ in range(times):
        backoff.on_failed(now)
        delays.append(backoff.earliest_start(now) - now)
        now += 1_000
    return delays


def test_delays_double_up_to_a_minute_and_are_spread(backoff):
    expected = [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    delays = delays_of(backoff, len(expected))
    assert all(full / 2 <= delay <= full for delay, full in zip(delays, expected, strict=True))
    assert delays != delays_of(Backoff(random.Random(2)), len(expected))


def test_a_good_block_ends_the_waiting(backoff):
    backoff.on_failed(0.0)
    assert backoff.is_probing
    backoff.on_connected()
    assert not backoff.is_probing
    assert backoff.earliest_start(0.0) == 0.0


def test_a_provider_is_hopeless_after_fewer_failures_before_any_block_was_good(backoff):
    delays_of(backoff, on.LIMIT_BEFORE_USE - 1)
    assert not backoff.is_hopeless
    backoff.on_failed(0.0)
    assert backoff.is_hopeless
    backoff.on_connected()
    delays_of(backoff, on.LIMIT_AFTER_USE - 1)
    assert not backoff.is_hopeless
    backoff.on_failed(0.0)
    assert backoff.is_hopeless


def test_a_first_early_death_costs_nothing_and_many_slow_down_but_never_end(backoff):
    backoff.on_connected()
    backoff.on_early_death(0.0)
    assert backoff.earliest_start(0.0) == 0.0
    for _ in range(50):
        backoff.on_connected()
        backoff.on_early_death(0.0)
    assert 1.0 < backoff.earliest_start(0.0) <= on.LONGEST_EARLY_DELAY
    assert backoff.failure_rate == pytest.approx(0.5)
    assert backoff.is_probing
    assert not backoff.is_hopeless


def test_the_failure_rate_counts_the_last_outcomes_alone(backoff):
    delays_of(backoff, 20)
    for _ in range(on.WINDOW):
        backoff.on_connected()
    assert backoff.failure_rate == 0.0


def test_a_busy_provider_is_left_alone_for_longer_and_longer_but_is_not_bad(backoff):
    waits = []
    for _ in range(20):
        backoff.on_busy(0.0)
        waits.append(backoff.earliest_start(0.0))
    assert waits[0] <= 0.5 < waits[3]
    assert not backoff.is_hopeless
    assert not backoff.is_probing


def test_a_provider_gets_a_burst_of_blocks_and_then_a_rate(backoff):
    for _ in range(Traits().submit_at_once):
        assert backoff.earliest_start(10.0) == 10.0
        backoff.on_submit(10.0)
    assert backoff.earliest_start(10.0) == pytest.approx(10.0 + 1 / Traits().submits_per_second)
    assert backoff.earliest_start(11.0) == 11.0


def test_burst_and_rate_are_traits_of_the_provider():
    backoff = Backoff(random.Random(1), Traits(submit_at_once=2, submits_per_second=0.1))
    for _ in range(2):
        assert backoff.earliest_start(100.0) == 100.0
        backoff.on_submit(100.0)
    assert backoff.earliest_start(100.0) == pytest.approx(110.0)
