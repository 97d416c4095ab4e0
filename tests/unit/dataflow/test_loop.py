"""A task graph over a scripted executor: results, failures, cancelling, the end of the run."""

import sys
from concurrent.futures import CancelledError, Future, wait

import pytest

from cnflow.errors import (
    ConfigurationError,
    DependencyError,
    ExecutorClosedError,
)
from cnflow.model.task import AppFunction, TaskState


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


def test_result_is_passed_to_the_dependent_task(make_dfk, executor):
    dfk = make_dfk()
    three = dfk.submit(app(add), (1, 2), {})
    seven = dfk.submit(app(add), (three,), {"b": 4})
    executor.run()
    executor.run()
    assert seven.result(0) == 7


def test_ready_tasks_reach_the_executor_in_one_batch(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(app(add), (1, 2), {})
    for _ in range(5):
        dfk.submit(app(add), (first, 1), {})
    batches = []
    executor.submit = batches.append
    executor.run()
    assert [len(batch) for batch in batches] == [5]


def test_message_of_dependency_error_begins_with_the_root_cause(make_dfk, executor):
    dfk = make_dfk()
    root = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (root, 1), {})
    third = dfk.submit(app(add), (second, 1), {})
    executor.run()
    error = third.exception(0)
    assert isinstance(error, DependencyError)
    assert isinstance(error.root_cause, ValueError)
    assert str(error) == (
        "Task 2 (add) was not run. Root cause: ValueError: boom\n  task 0 (fail) -> task 1 (add) -> task 2 (add)"
    )


def test_failure_does_not_affect_an_independent_task(make_dfk, executor):
    dfk = make_dfk()
    dfk.submit(app(fail), (), {})
    other = dfk.submit(app(add), (1, 1), {})
    executor.run()
    assert other.result(0) == 2


def test_cancelled_waiting_task_never_runs_and_is_named_by_its_dependents(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(app(add), (1, 2), {})
    second = dfk.submit(app(add), (first, 2), {})
    third = dfk.submit(app(add), (second, 2), {})
    assert second.cancel()
    assert second.cancelled()
    assert isinstance(third.exception(0), DependencyError)
    assert "Root cause: CancelledError\n  task 1 (add) -> task 2 (add)" in str(third.exception(0))
    executor.run()
    assert first.result(0) == 3
    assert wait([second], 1).done == {second}


def test_running_task_is_cancelled_through_its_executor(make_dfk):
    future = make_dfk(retries=3).submit(app(add), (1, 2), {})
    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(0)


def test_task_that_ends_before_it_is_stopped_keeps_its_result(make_dfk, executor):
    executor.cancel = lambda tasks: None
    future = make_dfk().submit(app(add), (1, 2), {})
    assert future.cancel()
    assert not future.cancelled()
    executor.run()
    assert future.result(0) == 3
    assert not future.cancel()


def test_future_returns_the_state_of_its_task(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (first, 2), {})
    assert (first.task_status(), second.task_status()) == ("launched", "waiting")
    executor.run()
    assert (first.task_status(), second.task_status()) == ("failed", "dependency_failed")


def test_task_submitted_in_a_callback_gets_the_error_of_a_dependency_that_is_not_settled_yet(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (first, 1), {})
    late = []
    first.add_done_callback(lambda _: late.append(dfk.submit(app(add), (second, 1), {})))
    executor.run()
    assert isinstance(late[0].exception(0).root_cause, ValueError)


def test_callback_that_exits_does_not_end_the_reporting_thread(make_dfk, executor, caplog):
    dfk = make_dfk()
    first = dfk.submit(app(add), (1, 2), {})
    first.add_done_callback(lambda _: sys.exit(3))
    second = dfk.submit(app(add), (first, 2), {})
    executor.run()
    executor.run()
    assert second.result(0) == 5
    assert "callback" in caplog.text


def test_result_that_a_container_refuses_fails_its_task_alone(make_dfk, executor):
    dfk = make_dfk()
    listed = dfk.submit(app(add), ([1], [2]), {})
    broken = dfk.submit(app(len), ({listed},), {})
    other = dfk.submit(app(add), (1, 2), {})
    executor.run()
    assert isinstance(broken.exception(0), TypeError)
    assert other.result(0) == 3


@pytest.mark.parametrize("resolver", ["deep", "shallow"])
def test_future_added_to_a_list_after_the_call_is_not_waited_for(make_dfk, executor, resolver):
    def of_all(inputs):
        return sum(inputs)

    dfk = make_dfk(dependency_resolver=resolver)
    numbers = [dfk.submit(app(add), (1, 2), {})]
    total = dfk.submit(app(of_all), (), {"inputs": numbers})
    numbers.append(total)
    executor.run()
    executor.run()
    assert total.result(0) == 3
    assert numbers[1] is total


def test_container_that_holds_itself_is_refused_at_the_call(make_dfk):
    knot = []
    knot.append(knot)
    with pytest.raises(ConfigurationError, match="holds itself"):
        make_dfk().submit(app(len), (knot,), {})


def test_cleanup_settles_every_future(make_dfk):
    dfk = make_dfk()
    running = dfk.submit(app(add), (1, 2), {})
    never = dfk.submit(app(add), (Future(), 2), {})
    dfk.cleanup()
    assert isinstance(running.exception(0), ExecutorClosedError)
    assert isinstance(never.exception(0), ExecutorClosedError)
    with pytest.raises(ExecutorClosedError, match="after its run had ended"):
        dfk.submit(app(add), (1, 2), {})


def test_counts_follow_the_tasks(make_dfk, executor):
    dfk = make_dfk()
    first = dfk.submit(app(add), (1, 2), {})
    dfk.submit(app(add), (first, 2), {})
    assert dfk.task_counts()[TaskState.WAITING] == 1
    executor.run()
    assert dfk.task_counts()[TaskState.DONE] == 1
