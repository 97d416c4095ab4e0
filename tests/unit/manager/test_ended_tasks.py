from cnflow.ids import FunctionId, TaskId
from cnflow.manager.ended_tasks import EndedTasks
from cnflow.wire.bulk import Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.messages import NO_FRAMES, Result, Task
from cnflow.wire.pipe import ResultKind
from cnflow.wire.task_digest import TaskDigests

SQUARE = Function(FunctionId(b"f" * 16), "square", 0, "", b"code")
FUNCTIONS = {SQUARE.id: SQUARE}


def task(number, attempt=0):
    return Task(TaskId(number), SQUARE.id, b"%d" % number, attempt=attempt), NO_FRAMES


def held(ended, *running):
    return {number: each.attempt for number, each in ended.identities(running, FUNCTIONS).items()}


def test_ended_tasks_are_kept_until_the_message_with_their_results_is_delivered():
    ended = EndedTasks()
    ended.add(task(1))
    ended.on_sent(4)
    ended.add(task(2))
    ended.add(task(3))
    ended.on_sent(6)
    ended.on_sent(7)
    assert held(ended, task(9, attempt=2)) == {1: 0, 2: 0, 3: 0, 9: 2}
    ended.on_delivered(5)
    assert held(ended) == {2: 0, 3: 0}
    ended.on_delivered(6)
    assert held(ended) == {}


def test_tasks_whose_results_are_sent_again_in_another_session_follow_its_numbers():
    ended = EndedTasks()
    ended.add(task(1))
    ended.on_sent(50)
    ended.on_new_session(3)
    ended.on_delivered(2)
    assert held(ended) == {1: 0}
    ended.on_delivered(3)
    assert held(ended) == {}


def offered(number, blob, attempt=0):
    offer = Offer(blob, 3_000_000, 0, b"manager")
    return Result(TaskId(number), ResultKind.VALUE, b"", 0, blobs=(offer,), attempt=attempt), NO_FRAMES


def test_tasks_whose_large_results_were_announced_are_kept_until_the_driver_has_fetched_these():
    ended = EndedTasks()
    for number in (1, 2, 3):
        ended.add(task(number))
    first, second = offered(1, b"one"), offered(2, b"two")
    ended.on_sent(4, [first, second, (Result(TaskId(3), ResultKind.VALUE, b""), NO_FRAMES)])
    assert ended.unfetched([]) == []
    ended.on_delivered(4)
    assert held(ended) == {1: 0, 2: 0}
    ended.on_released([b"one"])
    assert held(ended) == {2: 0}
    assert ended.unfetched([]) == [second]
    ended.on_new_session(9)
    ended.on_delivered(9)
    assert ended.unfetched([]) == [second]
    assert ended.unfetched([second[0]]) == []
    ended.on_released([b"two"])
    assert held(ended) == {}


def test_the_content_is_that_which_a_driver_finds_and_a_task_of_an_unknown_function_is_left_out():
    ended = EndedTasks()
    ended.add(task(1))
    other = Task(TaskId(5), FunctionId(b"unknown"), b"")
    found = ended.identities([(other, NO_FRAMES)], FUNCTIONS)
    assert {number: each.digest for number, each in found.items()} == {
        1: TaskDigests().identity(SQUARE, task(1)).digest
    }
