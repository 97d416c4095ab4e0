"""When fronts that end are started again."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.serving.processes.restarts import LONGEST, STEADY, TRIES, Again, Hopeless, Restarts


def test_front_that_served_long_is_started_again_at_once():
    restarts = Restarts()
    restarts.on_greeting(0, 100.0)
    assert restarts.on_exit(0, 100.0 + STEADY) == Again(0.0)


def test_front_that_is_killed_once_is_started_again_at_once():
    restarts = Restarts()
    restarts.on_greeting(0, 100.0)
    assert restarts.on_exit(0, 100.5) == Again(0.0)


def test_front_that_dies_again_and_again_is_started_later_each_time():
    restarts = Restarts()
    delays = []
    for now in range(12):
        restarts.on_greeting(0, now)
        decision = restarts.on_exit(0, now)
        assert isinstance(decision, Again)
        delays.append(decision.delay)
    assert delays[0] == 0.0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST


def test_fronts_that_never_serve_are_hopeless():
    restarts = Restarts()
    assert [restarts.on_exit(0, 0.0) for _ in range(TRIES)][-1] == Hopeless()


def test_front_that_cannot_start_beside_one_that_served_is_tried_again():
    restarts = Restarts()
    restarts.on_greeting(1, 0.0)
    assert all(isinstance(restarts.on_exit(0, 0.0), Again) for _ in range(20))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 100)), min_size=1))
def test_delays_stay_within_their_bounds(lives):
    restarts, now = Restarts(), 0.0
    restarts.on_greeting(9, now)
    for serves, seconds in lives:
        if serves:
            restarts.on_greeting(0, now)
        now += seconds
        decision = restarts.on_exit(0, now)
        assert isinstance(decision, Again)
        assert 0.0 <= decision.delay <= LONGEST
