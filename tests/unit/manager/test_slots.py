import pytest

from cnflow.manager.prefetch import Prefetch
from cnflow.tasks.slots import slot_count
from cnflow.units import GIB


@pytest.mark.parametrize(
    ("cores", "memory", "cores_per_worker", "mem_per_worker", "max_workers", "expected"),
    [
        (8, 0, 1.0, None, None, 8),
        (8, 0, 0.5, None, None, 16),
        (8, 0, 3.0, None, None, 2),
        (8, 0, 1.0, None, 4, 4),
        (8, 16 * GIB, 1.0, 4.0, None, 4),
        (1, GIB, 4.0, 8.0, 3, 1),
    ],
)
def test_workers_follow_from_cores_memory_and_the_users_limit(
    cores, memory, cores_per_worker, mem_per_worker, max_workers, expected
):
    assert slot_count(cores, memory, cores_per_worker, mem_per_worker, max_workers) == expected


def test_one_long_task_among_short_ones_stops_the_holding_in_advance():
    pace = Prefetch(None)
    for _ in range(50):
        pace.ran(0.0001)
    assert pace.ahead(1) > 0
    pace.ran(1.0)
    assert (pace.ahead(1), pace.in_pipe()) == (0, 1)


def test_a_fixed_prefetch_is_kept():
    pace = Prefetch(7)
    pace.ran(10.0)
    assert pace.ahead(4) == 7
