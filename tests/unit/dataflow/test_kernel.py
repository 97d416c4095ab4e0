"""The kernel's shell over an executor that does what the test says."""

from concurrent.futures import Future

import pytest

from cnflow.config import Config
from cnflow.dataflow.kernel import DataFlowKernel
from cnflow.dataflow.router import Place, Router
from cnflow.errors import DependencyError, ExecutorClosedError, ManagerLost, SerializationError
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import AppFunction, Outcome, TaskState


class Scripted:
    """An executor that holds tasks until the test ends them."""

    label, image = "scripted", ""

    def __init__(self):
        self.taken = []

    def start(self, report):
        self.report = report

    def submit(self, tasks):
        self.taken += tasks

    def status(self):
        return ExecutorStatus(self.label, "", 1, 1, 1)

    def shutdown(self):
        self.report([Outcome(task.id, None, ExecutorClosedError("ended")) for task in self.taken])

    def run(self):
        """Run all that is there, and report it in one batch."""
        batch, self.taken = self.taken, []
        outcomes = []
        for task in batch:
            try:
                outcomes.append(Outcome(task.id, task.app.function(*task.args, **task.kwargs)))
            except Exception as error:
                outcomes.append(Outcome(task.id, None, error))
        self.report(outcomes)


@pytest.fixture
def executor():
    return Scripted()


@pytest.fixture
def kernel(executor, tmp_path):
    def make(**config):
        router = Router([Place("scripted", "", needs_image=False, can_clone=False)], lambda *_: None)
        made = DataFlowKernel(Config(**config), tmp_path, [executor], router)
        made.start()
        return made

    return make


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


def test_a_result_reaches_the_task_that_waits_for_it(kernel, executor):
    dfk = kernel()
    three = dfk.submit(app(add), (1, 2), {})
    seven = dfk.submit(app(add), (three,), {"b": 4})
    executor.run()
    executor.run()
    assert seven.result(0) == 7


def test_ready_tasks_reach_the_executor_in_one_batch(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    for _ in range(5):
        dfk.submit(app(add), (first, 1), {})
    batches = []
    executor.submit = batches.append
    executor.run()
    assert [len(batch) for batch in batches] == [5]


def test_the_message_of_a_dependency_error_begins_with_the_root_cause(kernel, executor):
    dfk = kernel()
    root = dfk.submit(app(fail), (), {})
    second = dfk.submit(app(add), (root, 1), {})
    third = dfk.submit(app(add), (second, 1), {})
    executor.run()
    error = third.exception(0)
    assert isinstance(error, DependencyError)
    assert isinstance(error.root_cause, ValueError)
    assert str(error) == (
        "Task 2 (add) was not run. Root cause: ValueError: boom\n  Task 0 (fail) -> Task 1 (add) -> Task 2 (add)"
    )


def test_an_unaffected_branch_goes_on(kernel, executor):
    dfk = kernel()
    dfk.submit(app(fail), (), {})
    other = dfk.submit(app(add), (1, 1), {})
    executor.run()
    assert other.result(0) == 2


def test_a_failed_task_is_tried_again_as_configured(kernel, executor):
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return "ok"

    future = kernel(retries=2).submit(app(flaky), (), {})
    for _ in range(3):
        executor.run()
    assert future.result(0) == "ok"


def test_a_task_that_was_lost_is_run_again_without_using_up_a_retry(kernel, executor):
    future = kernel().submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, ManagerLost("gone"))])
    executor.run()
    assert future.result(0) == 3


def test_what_another_try_cannot_mend_is_not_tried_again(kernel, executor):
    future = kernel(retries=5).submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, SerializationError("no"))])
    assert executor.taken == []
    assert isinstance(future.exception(0), SerializationError)


def test_a_future_from_elsewhere_is_waited_for(kernel, executor):
    outside = Future()
    future = kernel().submit(app(add), (outside, 1), {})
    assert executor.taken == []
    outside.set_result(4)
    executor.run()
    assert future.result(0) == 5


def test_a_future_from_elsewhere_that_fails_fails_its_dependents(kernel):
    outside = Future()
    future = kernel().submit(app(add), (outside, 1), {})
    outside.set_exception(KeyError("k"))
    assert isinstance(future.exception(0).root_cause, KeyError)


def test_a_future_of_an_earlier_run_is_like_any_other(kernel, executor):
    earlier = kernel()
    old = earlier.submit(app(add), (1, 2), {})
    executor.run()
    dfk = kernel()
    new = dfk.submit(app(add), (old, 10), {})
    executor.run()
    assert new.result(0) == 13


def test_with_cache_a_second_identical_call_is_not_run(kernel, executor):
    dfk = kernel()
    shared = app(add)
    first = dfk.submit(shared, ([1], [2]), {}, cache=True)
    executor.run()
    first.result(0).append("changed by its caller")
    second = dfk.submit(shared, ([1], [2]), {}, cache=True)
    assert executor.taken == []
    assert second.result(0) == [1, 2]


def test_with_cache_other_arguments_or_other_code_are_run(kernel, executor):
    dfk = kernel()
    dfk.submit(app(add), (1, 2), {}, cache=True)
    executor.run()
    dfk.submit(app(add), (1, 3), {}, cache=True)
    dfk.submit(app(lambda a, b: a - b), (1, 2), {}, cache=True)
    assert len(executor.taken) == 2


def test_a_failure_is_not_cached(kernel, executor):
    dfk = kernel()
    shared = app(fail)
    dfk.submit(shared, (), {}, cache=True)
    executor.run()
    dfk.submit(shared, (), {}, cache=True)
    assert len(executor.taken) == 1


def test_cleanup_settles_every_future(kernel):
    dfk = kernel()
    running = dfk.submit(app(add), (1, 2), {})
    never = dfk.submit(app(add), (Future(), 2), {})
    dfk.cleanup()
    assert isinstance(running.exception(0), ExecutorClosedError)
    assert isinstance(never.exception(0), ExecutorClosedError)
    with pytest.raises(ExecutorClosedError, match="after its run had ended"):
        dfk.submit(app(add), (1, 2), {})


def test_counts_follow_the_tasks(kernel, executor):
    dfk = kernel()
    first = dfk.submit(app(add), (1, 2), {})
    dfk.submit(app(add), (first, 2), {})
    assert dfk.task_counts()[TaskState.WAITING] == 1
    executor.run()
    assert dfk.task_counts()[TaskState.DONE] == 1
