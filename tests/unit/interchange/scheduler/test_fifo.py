from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.scheduler.fifo import FreeSlots, fill_slots


def slots(**windows):
    made = FreeSlots()
    for manager, (count, window, held) in windows.items():
        made.update(manager, count, window, held)
    return made


def test_few_tasks_are_spread_over_managers():
    assert fill_slots(2, slots(a=(4, 4, 0), b=(4, 4, 0))) == [("a", 1), ("b", 1)]


def test_manager_gets_no_more_tasks_than_its_window():
    free = slots(a=(2, 3, 1))
    assert fill_slots(10, free) == [("a", 2)]
    assert fill_slots(10, free) == []


def test_manager_that_holds_more_than_its_window_gets_no_task():
    assert fill_slots(5, slots(a=(2, 2, 4))) == []


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(1, 8), st.integers(0, 30), st.integers(0, 10)), max_size=8))
def test_all_free_slots_are_used_and_no_more(tasks, managers):
    made = FreeSlots()
    for number, (count, window, held) in enumerate(managers):
        made.update(str(number), count, window, held)
    room = sum(max(0, window - held) for _, window, held in managers)
    assert sum(count for _, count in fill_slots(tasks, made)) == min(tasks, room)


def test_tasks_are_shared_among_64_managers_at_most():
    free = slots(**{f"m{number}": (64, 64, 0) for number in range(1000)})
    counts = fill_slots(640, free)
    assert len(counts) == 64
    assert {count for _, count in counts} == {10}
