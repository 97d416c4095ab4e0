"""Futures that the graph did not make, as arguments of its tasks."""

from concurrent.futures import Future

from cnflow.model.task import AppFunction


def app(function):
    return AppFunction(function)


def add(a, b):
    return a + b


def test_task_waits_for_an_external_future(make_dfk, executor):
    external = Future()
    future = make_dfk().submit(app(add), (external, 1), {})
    assert executor.taken == []
    external.set_result(4)
    executor.run()
    assert future.result(0) == 5


def test_external_future_is_not_counted_as_a_task(make_dfk, executor):
    dfk = make_dfk()
    external = Future()
    dfk.submit(app(add), (external, 1), {})
    external.set_result(4)
    executor.run()
    assert sum(dfk.task_counts().values()) == 1


def test_failed_external_future_fails_its_dependents(make_dfk):
    external = Future()
    future = make_dfk().submit(app(add), (external, 1), {})
    external.set_exception(KeyError("k"))
    assert isinstance(future.exception(0).root_cause, KeyError)
    assert f"{external!r} -> task 0 (add)" in str(future.exception(0)), "which of many it was"


def test_future_of_an_earlier_run_is_an_external_future(make_dfk, executor):
    earlier = make_dfk()
    old = earlier.submit(app(add), (1, 2), {})
    executor.run()
    dfk = make_dfk()
    new = dfk.submit(app(add), (old, 10), {})
    executor.run()
    assert new.result(0) == 13
