"""The simulation of `make scale ARGS=--decisions`, small: it checks what it sees."""

import pytest

from benchmarks.scale.decisions import KINDS, simulate_decisions


@pytest.mark.parametrize("kind", KINDS)
def test_all_tasks_of_a_simulation_end(kind):
    (row,) = simulate_decisions([kind], managers=20, tasks=600, seconds=60)
    assert row.is_complete
    assert row.ended == 600
