"""Queue of plain tasks: order, cancellation, tombstones."""

import hypothesis.strategies as st
from hypothesis import given

from cnflow.interchange.scheduler.deadlines import DeadlineFilter
from cnflow.interchange.scheduler.plain_queue import PlainQueue
from cnflow.wire.messages import Task


def parcel(number, attempt=0):
    return Task(number, b"f" * 16, b"", attempt=attempt), ()


def ids(parcels):
    return [task.id for task, _ in parcels]


def queue_of(*numbers):
    queue = PlainQueue(DeadlineFilter())
    queue.extend([parcel(number) for number in numbers])
    return queue


def test_tasks_leave_in_the_order_in_which_they_came():
    queue = queue_of(0, 1, 2)
    queue.extend([parcel(3)])
    assert ids(queue.take(2)) == [0, 1]
    assert ids(queue.take(9)) == [2, 3]
    assert len(queue) == 0


def test_removed_task_is_passed_over():
    queue = queue_of(0, 1, 2, 3)
    assert ids(queue.remove({1: 0, 7: 0})) == [1]
    assert queue.remove({1: 0}) == []
    assert (len(queue), ids(queue)) == (3, [0, 2, 3])
    assert [queue.position(number) for number in (0, 1, 2)] == [0, -1, 1]
    assert ids(queue.take(2)) == [0, 2]


def test_other_attempt_is_not_removed():
    queue = PlainQueue(DeadlineFilter())
    queue.extend([parcel(5, attempt=1)])
    assert queue.remove({5: 0}) == []
    assert ids(queue.pop([5])) == [5]


def test_removed_task_that_is_submitted_again_waits_once_at_the_end():
    queue = queue_of(0, 1)
    queue.remove({0: 0})
    queue.extend([parcel(0, attempt=1)])
    assert [(task.id, task.attempt) for task, _ in queue.take(9)] == [(1, 0), (0, 1)]


def test_tombstones_do_not_pile_up():
    queue = queue_of(*range(10_000))
    for number in range(1, 10_000):
        queue.remove({number: 0})
    assert len(queue._common.entries) <= 65
    assert ids(queue.take(9)) == [0]


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "remove", "again"]), st.integers(0, 12)), max_size=60))
def test_queue_behaves_like_a_list(steps):
    queue, model, number = PlainQueue(DeadlineFilter()), [], 0
    for step, size in steps:
        if step == "add":
            queue.extend([parcel(number + n) for n in range(size)])
            model += range(number, number + size)
            number += size
        elif step == "again" and size < number and size not in model:
            queue.extend([parcel(size)])
            model.append(size)
        elif step == "take":
            assert ids(queue.take(size)) == model[:size]
            del model[:size]
        elif step == "remove":
            assert ids(queue.remove({size: 0})) == ([size] if size in model else [])
            model = [other for other in model if other != size]
        assert (len(queue), ids(queue)) == (len(model), model)
