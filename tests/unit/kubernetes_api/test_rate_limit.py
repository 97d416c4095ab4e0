"""The client-side limit lets a burst through, and then one request each 1/rate seconds."""

import pytest

from cnflow.kubernetes_api.rate_limit import RateLimit
from cnflow.testing import FakeClock


def test_burst_is_sent_at_once_and_the_rest_in_turn():
    limit = RateLimit(rate=10, burst=3, clock=FakeClock())
    assert [limit.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])


def test_tokens_come_back_with_time_but_never_more_than_the_burst():
    clock = FakeClock()
    limit = RateLimit(rate=10, burst=2, clock=clock)
    assert [limit.reserve() for _ in range(3)] == pytest.approx([0, 0, 0.1])
    clock.advance(0.2)
    assert limit.reserve() == 0
    clock.advance(3600)
    assert [limit.reserve() for _ in range(3)] == pytest.approx([0, 0, 0.1])


def test_caller_sleeps_only_when_its_token_is_not_due():
    slept = []
    limit = RateLimit(rate=4, burst=1, clock=FakeClock(), sleep=slept.append)
    limit.wait()
    assert slept == []
    limit.wait()
    assert slept == [0.25]
