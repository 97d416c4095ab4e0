import pytest

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
def test_the_number_of_workers_follows_from_cores_memory_and_the_users_limit(
    cores, memory, cores_per_worker, mem_per_worker, max_workers, expected
):
    assert slot_count(cores, memory, cores_per_worker, mem_per_worker, max_workers) == expected
