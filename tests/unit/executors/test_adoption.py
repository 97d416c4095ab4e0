"""Tasks of a killed driver, and those of its successor that are the same."""

import pytest

from cnflow.executors.high_throughput.adoption import _WITHOUT_RESULT, Adoption
from cnflow.ids import FunctionId, ManagerId, TaskId
from cnflow.model.item import Item
from cnflow.wire.bulk import Offer
from cnflow.wire.function_messages import Function
from cnflow.wire.manager_messages import HeldTask
from cnflow.wire.messages import NO_FRAMES, Result, Task
from cnflow.wire.pipe import ResultKind
from cnflow.wire.task_digest import TaskDigests

A, B = ManagerId(b"a"), ManagerId(b"b")
FIRST = TaskId(1000)


def task_digest(function, parcel):
    return TaskDigests().identity(function, parcel).digest


def same_classes(old, new):
    return old == new


SQUARE = Function(FunctionId(b"f" * 16), "square", 0, "", b"code")


def new(number, argument=b"x", attempt=0):
    return SQUARE, (Task(TaskId(FIRST + number), SQUARE.id, argument, attempt=attempt), NO_FRAMES)


def identity(argument=b"x"):
    return TaskDigests().identity(*new(0, argument))


def held(argument=b"x", attempt=3):
    return HeldTask(attempt, *identity(argument))


def result(number, attempt=3, kind=ResultKind.VALUE, body=b"value"):
    return Result(TaskId(number), kind, body, attempt=attempt), NO_FRAMES


@pytest.fixture
def adoption():
    """Both managers are back: A runs task 7, B task 8; the same task both times."""
    made = Adoption([A, B], FIRST, same_classes)
    made.on_held(A, {TaskId(7): held()})
    made.on_manager_back(A)
    made.on_held(B, {TaskId(8): held()})
    made.on_manager_back(B)
    return made


def test_new_tasks_are_held_back_until_every_manager_is_back_or_lost():
    adoption = Adoption([A, B], FIRST, same_classes)
    assert adoption.is_collecting
    adoption.hold_back(new(0), identity())
    assert adoption.waits_elsewhere(FIRST)
    adoption.on_manager_back(A)
    assert adoption.is_collecting
    adoption.on_manager_lost(B)
    assert not adoption.is_collecting
    assert adoption.take_held_back() == [(new(0), identity())]
    assert not adoption.waits_elsewhere(FIRST)
    assert adoption.is_over


def test_a_result_of_a_running_task_is_that_of_the_new_task(adoption):
    assert adoption.take(new(0, attempt=5), identity()) is True
    assert adoption.waits_elsewhere(FIRST)
    renamed, to_send = adoption.on_results([result(7)])
    assert renamed == [result(FIRST, attempt=5)]
    assert to_send == []
    assert not adoption.waits_elsewhere(FIRST)


def test_a_result_that_nobody_waited_for_is_there_at_once(adoption):
    assert adoption.on_results([result(7)]) == ([], [])
    assert adoption.take(new(0, attempt=5), identity()) == result(FIRST, attempt=5)


def test_two_equal_old_tasks_serve_two_new_ones_and_the_third_is_sent(adoption):
    assert [adoption.take(new(number), identity()) for number in range(3)] == [True, True, False]
    assert adoption.is_over
    renamed, _ = adoption.on_results([result(8), result(7)])
    assert [parcel[0].id for parcel in renamed] == [FIRST + 1, FIRST]
    assert adoption.adopted == 2
    assert adoption.unclaimed == 0


def test_a_task_of_other_content_is_sent(adoption):
    assert adoption.take(new(0, b"y"), identity(b"y")) is False
    assert adoption.unclaimed == 2


def test_a_task_whose_manager_is_lost_is_sent_and_a_result_that_came_before_stays(adoption):
    assert adoption.take(new(0), identity()) is True  # by task 7
    adoption.on_results([result(8)])
    assert adoption.on_manager_lost(A) == [FIRST]
    assert adoption.on_manager_lost(B) == []
    assert not adoption.waits_elsewhere(FIRST)
    assert adoption.on_results([result(7)]) == ([], [])
    assert isinstance(adoption.take(new(1), identity()), tuple)


def test_a_lost_task_that_nobody_waited_for_serves_nobody(adoption):
    adoption.on_manager_lost(A)
    adoption.on_manager_lost(B)
    assert adoption.take(new(0), identity()) is False
    assert adoption.is_over


@pytest.mark.parametrize("kind", sorted(_WITHOUT_RESULT))
def test_an_old_task_without_a_result_serves_nobody(adoption, kind):
    assert adoption.take(new(0), identity()) is True
    assert adoption.on_results([result(7, kind=kind), result(8, kind=kind)]) == ([], [FIRST])
    assert adoption.take(new(1), identity()) is False


def test_a_cancellation_by_the_new_user_ends_the_new_task(adoption):
    adoption.take(new(0, attempt=5), identity())
    assert adoption.cancel([FIRST, TaskId(FIRST + 1)]) == ([], {7: 3})
    renamed, to_send = adoption.on_results([result(7, kind=ResultKind.CANCELLED)])
    assert renamed == [result(FIRST, attempt=5, kind=ResultKind.CANCELLED)]
    assert to_send == []


def test_a_task_that_is_held_back_is_cancelled_without_a_message():
    adoption = Adoption([A], FIRST, same_classes)
    adoption.hold_back(new(0), identity())
    assert adoption.cancel([FIRST]) == ([FIRST], {})
    adoption.on_manager_back(A)
    assert adoption.take_held_back() == []


def test_results_of_another_attempt_or_of_unknown_tasks_are_dropped_and_new_ones_pass(adoption):
    adoption.take(new(0), identity())
    ours = result(FIRST + 5, attempt=0)
    assert adoption.on_results([result(7, attempt=2), result(99), ours]) == ([ours], [])
    assert adoption.waits_elsewhere(FIRST)


def test_a_manager_cannot_claim_tasks_of_this_driver_or_those_of_another_manager(adoption):
    adoption.on_held(B, {FIRST: held(), TaskId(7): held(b"z")})
    assert adoption.take(new(0, b"z"), identity(b"z")) is False
    adoption.on_manager_lost(B)
    assert adoption.take(new(0), identity()) is True  # task 7 is still A's


def test_tasks_of_a_manager_that_comes_late_serve_tasks_that_are_submitted_after_that():
    adoption = Adoption([A], FIRST, same_classes)
    adoption.on_time_over()
    assert adoption.is_over
    adoption.on_held(A, {TaskId(7): held()})
    assert adoption.take(new(0), identity()) is True


def test_blocks_that_ended_are_not_awaited():
    adoption = Adoption([A, B], FIRST, same_classes)
    adoption.on_manager_back(A)
    adoption.await_only([A])
    assert not adoption.is_collecting


def test_a_task_whose_classes_cannot_be_found_again_is_sent(adoption):
    other = identity()._replace(classes=("another",))
    assert adoption.take(new(0), other) is False
    assert adoption.take(new(0), identity()) is True


@pytest.mark.parametrize(
    "other",
    [
        (SQUARE, (Task(TaskId(1), SQUARE.id, b"y"), NO_FRAMES)),
        (SQUARE, (Task(TaskId(1), SQUARE.id, b"x", walltime=1.0), NO_FRAMES)),
        (SQUARE, (Task(TaskId(1), SQUARE.id, b"x", frames=1), [b""])),
        (Function(FunctionId(b"g" * 16), "square", 0, "", b"other"), (Task(TaskId(1), SQUARE.id, b"x"), NO_FRAMES)),
    ],
    ids=["argument", "walltime", "frames", "function"],
)
def test_a_digest_covers_all_that_a_task_does(other):
    assert task_digest(*other) != identity().digest


def test_a_digest_does_not_depend_on_numbers_and_kinds_of_buffers():
    one = SQUARE, (Task(TaskId(1), SQUARE.id, b"", frames=2, attempt=1), [b"ab", b"c"])
    two = SQUARE, (Task(TaskId(2), SQUARE.id, b"", frames=2), [memoryview(bytearray(b"ab")), b"c"])
    three = SQUARE, (Task(TaskId(2), SQUARE.id, b"", frames=2), [b"a", b"bc"])
    assert task_digest(*one) == task_digest(*two) != task_digest(*three)


def test_task_whose_arguments_or_files_only_the_killed_driver_had_is_sent_with_those_of_this_one(adoption):
    assert adoption.take(new(0), identity()) is True
    assert adoption.take(new(1), identity()) is True
    lost = [result(7, kind=ResultKind.ITEM_LOST), result(8, kind=ResultKind.ARGUMENT_LOST)]
    assert adoption.on_results(lost) == ([], [FIRST, FIRST + 1])


@pytest.mark.parametrize(
    "parts",
    [{"blobs": (Offer(b"part", 2**21, 0, A),)}, {"items": (Item(b"k" * 24, 5, source=A, name="outputs/0"),)}],
    ids=["parts", "items"],
)
def test_large_result_that_its_lost_manager_had_serves_no_task(adoption, parts):
    head, frames = result(7)
    for name, value in parts.items():
        setattr(head, name, value)
    assert adoption.on_results([(head, frames), result(8)]).results == []
    assert adoption.on_manager_lost(A) == []
    assert adoption.unclaimed == 1
    assert adoption.on_manager_lost(B) == []
    found = adoption.take(new(0), identity())
    assert found[0].body == b"value", "a small result is here, and needs no manager"
    assert adoption.take(new(1), identity()) is False
