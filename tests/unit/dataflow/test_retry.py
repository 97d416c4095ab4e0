"""Retries in a task graph over a scripted executor."""

import sys

import pytest

from cnflow.dataflow.call_options import AppOptions
from cnflow.errors import (
    ConfigurationError,
    ManagerLost,
    SerializationError,
)
from cnflow.model.task import AppFunction, Outcome


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


def test_failed_task_is_retried_as_often_as_configured(make_dfk, executor):
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return "ok"

    future = make_dfk(retries=2).submit(app(flaky), (), {})
    for _ in range(3):
        executor.run()
    assert future.result(0) == "ok"


def test_lost_task_is_rerun_without_using_up_a_retry(make_dfk, executor):
    future = make_dfk().submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, ManagerLost("gone"))])
    executor.run()
    assert future.result(0) == 3


def test_serialization_error_is_not_retried(make_dfk, executor):
    future = make_dfk(retries=5).submit(app(add), (1, 2), {})
    executor.report([Outcome(executor.taken.pop().id, None, SerializationError("no"))])
    assert executor.taken == []
    assert isinstance(future.exception(0), SerializationError)


def test_retry_handler_sets_the_cost_of_each_failure(make_dfk, executor):
    seen = []

    def handler(error, task):
        seen.append((type(error), task.app.name, len(task.fail_history)))
        return 0 if len(seen) < 4 else 2

    future = make_dfk(retries=1, retry_handler=handler).submit(app(fail), (), {})
    for _ in range(4):
        executor.run()
    assert isinstance(future.exception(0), ValueError)
    assert seen == [(ValueError, "fail", n) for n in (1, 2, 3, 4)]


def test_retry_handler_that_raises_fails_the_task_with_its_own_error(make_dfk, executor):
    def handler(error, task):
        raise KeyError("broken handler")

    future = make_dfk(retries=1, retry_handler=handler).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), KeyError)
    assert isinstance(future.exception(0).__cause__, ValueError)


@pytest.mark.parametrize("cost", [None, "1", True])
def test_retry_handler_that_returns_no_number_fails_the_task_with_configuration_error(make_dfk, executor, cost):
    future = make_dfk(retries=1, retry_handler=lambda error, task: cost).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), ConfigurationError)
    assert f"returned {cost!r}; it must return a number" in str(future.exception(0))


def test_retry_handler_that_exits_fails_its_task_alone(make_dfk, executor):
    future = make_dfk(retries=1, retry_handler=lambda error, task: sys.exit(3)).submit(app(fail), (), {})
    executor.run()
    assert isinstance(future.exception(0), SystemExit)


def test_error_whose_str_raises_still_becomes_the_tasks_error(make_dfk, executor):
    class MuteError(Exception):
        def __str__(self):
            raise KeyError("no text")

    def fails():
        raise MuteError

    dfk = make_dfk()
    future = dfk.submit(app(fails), (), {})
    dependent = dfk.submit(app(add), (future, 1), {})
    executor.run()
    assert isinstance(future.exception(0), MuteError)
    assert "Root cause: MuteError: (its __str__ failed: KeyError)" in str(dependent.exception(0))


def test_retries_of_an_app_take_precedence_over_the_configs(make_dfk, executor):
    future = make_dfk(retries=0).submit(app(fail), (), {}, AppOptions(retries=1))
    executor.run()
    assert not future.done()
    executor.run()
    assert isinstance(future.exception(0), ValueError)
