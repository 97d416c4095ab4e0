import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.serving.admission import Admission
from cnflow.serving.client_rates import _MOST_CLIENTS, ClientRates
from cnflow.serving.service import ServingError


def test_a_client_begins_a_burst_and_then_waits_for_the_rate():
    rates = ClientRates(2.0, burst=3)
    assert [rates.take("ann", 10.0) for _ in range(3)] == [0, 0, 0]
    assert rates.take("ann", 10.0) == pytest.approx(0.5)
    assert rates.take("ann", 10.25) == pytest.approx(0.25)
    assert rates.take("bob", 10.25) == 0
    assert rates.take("ann", 10.5) == 0
    assert rates.take("ann", 10.5) > 0


def test_a_slow_rate_lets_one_call_begin():
    rates = ClientRates(0.1)
    assert rates.take("ann", 0.0) == 0
    assert rates.take("ann", 0.0) == pytest.approx(10)


@given(st.floats(0.05, 500), st.integers(1, 20), st.lists(st.floats(0, 2), max_size=200))
def test_calls_of_any_stretch_of_time_are_the_burst_and_the_rate_at_most(rate, burst, gaps):
    rates, now, taken = ClientRates(rate, burst), 0.0, []
    for gap in gaps:
        now += gap
        wait = rates.take("ann", now)
        assert wait >= 0
        if not wait:
            taken.append(now)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - begin) + 1e-6


@given(st.floats(0.05, 500), st.integers(0, 300))
def test_a_client_that_waits_as_it_was_asked_is_served(rate, calls):
    rates, now = ClientRates(rate), 0.0
    for _ in range(calls):
        wait = rates.take("ann", now)
        if wait:
            now += wait
            assert rates.take("ann", now) == 0


def test_clients_that_are_silent_are_forgotten():
    rates = ClientRates(1.0)
    for number in range(10 * _MOST_CLIENTS):
        rates.take(str(number), number / 10)
    assert len(rates) <= _MOST_CLIENTS + 1


def test_a_refused_call_counts_for_nothing_and_has_the_seconds_to_wait():
    admission = Admission("digits", 1, 1, rates=ClientRates(1.0, burst=2))
    admission.enter("a", "ann", now=5.0)
    admission.enter("b", "bob", now=5.0)
    with pytest.raises(ServingError, match="queue"):
        admission.enter("c", "ann", now=5.0)
    admission.leave("ann", 5.0)
    admission.enter("c", "ann", now=5.0)
    admission.leave("bob", 5.0)
    with pytest.raises(ServingError, match=r"1 calls of one client in a second") as refused:
        admission.enter("d", "ann", now=5.75)
    assert (refused.value.status, refused.value.code) == (429, "too_many_calls_per_second")
    assert refused.value.retry_after == pytest.approx(0.25)
    assert admission.waiting == 0
