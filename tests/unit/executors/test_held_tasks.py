"""What is kept of a task that is not reported, and what is sent of it again."""

from __future__ import annotations

from typing import Any

import pytest

from cnflow.executors.high_throughput.held_tasks import hold, of_present_attempts
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, Kept, RunOptions, TaskToRun
from cnflow.wire import messages as msg

APP = AppFunction(print, name="app")


def task_of(*args: Any, **others: Any) -> TaskToRun:
    """Task 7, called with *args*."""
    return TaskToRun(TaskId(7), APP, args, others.pop("kwargs", {}), **others)


@pytest.mark.parametrize("task", [task_of(), task_of(1, "text", b"bytes", None), task_of(2.5, kwargs={"key": "word"})])
def test_a_call_with_constant_arguments_is_kept_and_is_sent_again_as_it_was_sent(task):
    serializer = TaskSerializer()
    sent = serializer.serialize(task, 3)
    held = hold(task, sent, 3)
    assert held.content is task
    assert held.serialized(serializer) == sent


@pytest.mark.parametrize(
    "task",
    [
        task_of([1]),
        task_of((1, [2])),
        task_of(kwargs={"key": {}}),
        task_of(1, options=RunOptions(walltime=5.0)),
        task_of(1, kept=Kept()),
        task_of(b"x" * 100_000),
    ],
    ids=["list", "nested list", "dict", "options", "kept", "large"],
)
def test_a_parcel_is_kept_where_the_call_may_not_give_it_again(task):
    serializer = TaskSerializer()
    sent = serializer.serialize(task, 3)
    held = hold(task, sent, 3)
    assert held.content is sent[1]
    assert held.serialized(serializer) == sent


def test_a_result_of_another_attempt_or_of_a_reported_task_is_not_of_a_present_attempt():
    task = task_of()
    held = {task.id: hold(task, TaskSerializer().serialize(task, 3), 3)}
    results = [msg.Result(TaskId(n), 1, b"", attempt=attempt) for n, attempt in ((7, 2), (7, 3), (8, 3))]
    assert of_present_attempts([(result, ()) for result in results], held) == [(results[1], ())]
