"""Tasks that wait for the node of their data: less moves, and all is done sooner."""

import pytest

from tests.simulation.placement import simulate


@pytest.mark.parametrize("others", [0, 400])
def test_waiting_as_long_as_moving_takes_moves_less_and_ends_sooner(others):
    waits = simulate(10**8, patience=1.0, others=others)
    moves = simulate(10**8, patience=0.0, others=others)
    assert waits.moved < 0.6 * moves.moved
    assert waits.seconds < 0.9 * moves.seconds


def test_small_data_makes_nothing_slower():
    waits = simulate(10**6 - 1, patience=1.0, others=0)
    assert waits.seconds < 1.05 * simulate(10**6 - 1, patience=0.0, others=0, knows_places=False).seconds
