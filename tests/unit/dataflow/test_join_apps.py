"""Join apps in a task graph over a scripted executor."""

from concurrent.futures import CancelledError

import pytest

from cnflow.errors import (
    JoinAppNoFuture,
    JoinError,
)
from cnflow.model.task import AppFunction, AppKind


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


def join(function):
    return AppFunction(function, AppKind.JOIN)


def test_join_app_returns_the_result_of_its_inner_future(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(join(lambda: dfk.submit(app(add), (1, 2), {})), (), {})
    assert not future.done()
    executor.run()
    assert future.result(0) == 3


def test_join_app_fills_results_into_nested_lists(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(join(lambda n: [[dfk.submit(app(add), (k, 1), {}) for k in range(n)], 7]), (3,), {})
    executor.run()
    assert future.result(0) == [[1, 2, 3], 7]
    assert dfk.submit(join(list), (), {}).result(0) == []


def test_join_error_names_the_inner_task_that_failed(make_dfk, executor):
    dfk = make_dfk()
    future = dfk.submit(join(lambda: [dfk.submit(app(add), (1, 2), {}), dfk.submit(app(fail), (), {})]), (), {})
    executor.run()
    error = future.exception(0)
    assert isinstance(error, JoinError)
    assert isinstance(error.root_cause, ValueError)
    assert "failed with a task that it returned. Root cause: ValueError: boom\n  task 2 (fail) -> task 0" in str(error)


def test_join_error_names_every_inner_task_that_failed(make_dfk, executor):
    dfk = make_dfk()
    functions = (fail, int, lambda: 1 / 0)
    future = dfk.submit(join(lambda: [dfk.submit(app(function), (), {}) for function in functions]), (), {})
    executor.run()
    error = future.exception(0)
    assert [type(each) for each, _ in error.dependent_exceptions_tids] == [ValueError, ZeroDivisionError]
    assert "Failed too: task 3 (<lambda>)" in str(error)


def test_join_app_that_returns_no_future_fails(make_dfk):
    error = make_dfk().submit(join(lambda: 5), (), {}).exception(0)
    assert isinstance(error, JoinAppNoFuture)
    assert "returned 5" in str(error)


def test_join_app_that_waits_for_its_futures_is_cancelled_at_once(make_dfk, executor):
    dfk = make_dfk()
    inner = []
    future = dfk.submit(join(lambda: inner.append(dfk.submit(app(add), (1, 2), {})) or inner), (), {})
    after = dfk.submit(app(add), (future, 1), {})
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(0)
    assert after.done()
    executor.run()
    assert inner[0].result(0) == 3, "the tasks that it returned go on"
    assert future.cancelled()
