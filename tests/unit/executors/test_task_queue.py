"""Tasks and orders on their way out of the driver."""

import time

import pytest

from cnflow.executors.high_throughput import task_queue
from cnflow.executors.high_throughput.orders import Orders
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.executors.high_throughput.task_queue import TaskQueue
from cnflow.wire import messages as msg
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import Hold

FUNCTION = Function(b"f" * 16, "f", 0, "", b"code")


def task(number, body=b""):
    return FUNCTION, (msg.Task(number, FUNCTION.id, body), msg.NO_FRAMES)


@pytest.fixture
def queue():
    return TaskQueue(TaskSerializer())


def sent(queue):
    found = []
    while frames := queue.next_message():
        found += [(each.id, each.body) for each in msg.decode_to_interchange(frames[0]).tasks]
    return found


def test_removed_task_is_not_sent(queue):
    for number in range(4):
        queue.put(task(number))
    assert queue.remove([1, 3, 9]) == [1, 3]
    assert queue.remove([1]) == []
    assert [number for number, _ in sent(queue)] == [0, 2]
    assert not queue


def test_task_that_was_removed_and_put_again_is_sent_once_as_it_is_now(queue):
    queue.put(task(0, b"old"))
    queue.put(task(1))
    queue.remove([0])
    queue.put(task(0, b"new"))
    assert sent(queue) == [(1, b""), (0, b"new")]


def test_message_with_large_functions_has_few_tasks_and_the_others_follow(queue):
    for number in range(5):
        function = Function(bytes([number % 3]) * 16, "f", 0, "", bytes(600_000))
        queue.put((function, (msg.Task(number, function.id, b""), msg.NO_FRAMES)))
    works = []
    while frames := queue.next_message():
        works.append(msg.decode_to_interchange(frames[0]))
    assert [([task.id for task in work.tasks], len(work.functions)) for work in works] == [([0, 1], 2), ([2, 3, 4], 1)]


def test_interchange_forgets_functions_once_many_were_sent_and_gets_them_again(monkeypatch):
    monkeypatch.setattr(task_queue, "OF_INTERCHANGE", 3000)
    queue = TaskQueue(TaskSerializer())
    works = []
    for number in (0, 0, 1, 0):
        function = Function(bytes([number]) * 16, "f", 0, "", bytes(3000))
        queue.put((function, (msg.Task(number, function.id, b""), msg.NO_FRAMES)))
        works.append(msg.decode_to_interchange(queue.next_message()[0]))
    assert [(len(work.functions), work.forgets) for work in works] == [(1, False), (0, False), (1, True), (1, True)]


def test_removing_tasks_one_by_one_takes_time_that_grows_with_their_number(queue):
    seconds = {}
    for count in (5_000, 40_000):
        for number in range(count):
            queue.put(task(number))
        begin = time.process_time()
        for number in range(count):
            queue.remove([number])
        seconds[count] = time.process_time() - begin
        assert sent(queue) == []
    assert seconds[40_000] < 8 * 4 * seconds[5_000], f"eight times as many take {seconds}"


@pytest.fixture
def orders():
    return Orders()


def test_cancellations_in_a_row_leave_as_one(orders):
    first = msg.Cancel({0: 0})
    for order in (first, msg.Cancel({1: 0, 2: 0}), msg.IdleTimesQuery(), msg.Cancel({3: 0})):
        orders.put(order)
    assert orders.take() == [msg.Cancel(dict.fromkeys(range(3), 0)), msg.IdleTimesQuery(), msg.Cancel({3: 0})]
    assert first == msg.Cancel({0: 0}), "an order is its owner's"
    assert not orders
    assert orders.take() == []


def test_order_stands_from_its_departure_until_it_is_replaced(orders):
    held = Hold(b"manager")
    for order in (msg.Drain("0"), held, msg.Drain("1"), msg.Cancel({1: 0})):
        orders.put(order)
    assert orders.standing() == []
    orders.take()
    assert orders.standing() == [msg.Drain("0"), held, msg.Drain("1")]
    orders.put(msg.BlockGone("0", "gone"))
    orders.take()
    assert orders.standing() == [held, msg.Drain("1")]
    orders.on_message(msg.ManagerDown(b"manager", "gone", {}))
    assert orders.standing() == [msg.Drain("1")]
