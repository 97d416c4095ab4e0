from hypothesis import given
from hypothesis import strategies as st

from cnflow.interchange.scheduler.fifo import FreeSlots, match


def slots(**windows):
    made = FreeSlots()
    for manager, (count, window, held) in windows.items():
        made.update(manager, count, window, held)
    return made


def test_a_few_tasks_go_to_different_managers():
    assert match(2, slots(a=(4, 4, 0), b=(4, 4, 0))) == [("a", 1), ("b", 1)]


def test_nobody_gets_more_than_his_window():
    room = slots(a=(2, 3, 1))
    assert match(10, room) == [("a", 2)]
    assert match(10, room) == []


def test_a_manager_that_holds_more_than_it_wants_gets_nothing():
    assert match(5, slots(a=(2, 2, 4))) == []


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(1, 8), st.integers(0, 30), st.integers(0, 10)), max_size=8))
def test_all_room_is_used_and_not_more(tasks, managers):
    made = FreeSlots()
    for number, (count, window, held) in enumerate(managers):
        made.update(str(number), count, window, held)
    room = sum(max(0, window - held) for _, window, held in managers)
    assert sum(count for _, count in match(tasks, made)) == min(tasks, room)


def test_with_very_many_managers_a_message_is_not_sent_for_each_task():
    room = slots(**{f"m{number}": (64, 64, 0) for number in range(1000)})
    given_out = match(640, room)
    assert len(given_out) == 64
    assert {count for _, count in given_out} == {10}
