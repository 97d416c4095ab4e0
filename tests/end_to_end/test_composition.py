"""Apps that call apps, on threads and on processes."""

import asyncio
import concurrent.futures
import time
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, join_app, python_app
from cnflow.errors import JoinError, MissingOutputs
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor


@python_app
def add(a, b=0):
    return a + b


@python_app
def divide(a, b):
    return a / b


@pytest.fixture(params=["threads", "processes"], autouse=True)
def dfk(request, tmp_path):
    executor = ThreadPoolExecutor() if request.param == "threads" else HighThroughputExecutor(max_workers=2)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))) as loaded:
        yield loaded


@join_app
def fibonacci(n):
    return add(n) if n < 2 else add_both(fibonacci(n - 1), fibonacci(n - 2))


@python_app
def add_both(a, b):
    return a + b


def test_join_app_may_call_itself():
    assert fibonacci(7).result(60) == 13


@join_app
def countdown(n):
    return countdown(n - 1) if n else add(42)


def test_join_app_may_call_itself_deeper_than_pythons_recursion_limit():
    assert countdown(300).result(60) == 42


def test_join_app_waits_for_its_arguments_and_its_dependents_wait_for_it():
    @join_app
    def spread(count):
        return [add(n) for n in range(count)]

    @python_app
    def total(numbers):
        return sum(numbers)

    assert total(spread(add(2, b=3))).result(60) == 10


def test_failure_inside_a_join_app_names_the_inner_task():
    @join_app
    def broken():
        return [add(1), divide(1, 0)]

    error = broken().exception(60)
    assert isinstance(error, JoinError)
    assert isinstance(error.root_cause, ZeroDivisionError)
    assert "(divide) -> task 0 (broken)" in str(error)


def test_outputs_of_a_join_app_are_made_by_its_tasks(tmp_path):
    @python_app
    def write(number, outputs=()):
        time.sleep(0.1)  # the function of the join app has returned long ago
        if number:
            Path(outputs[0]).write_text("made")

    @join_app
    def write_both(number, outputs=()):
        return [write(each, outputs=[path.filepath]) for each, path in zip((1, number), outputs, strict=True)]

    paths = [tmp_path / "a", tmp_path / "b"]
    assert write_both(1, outputs=paths).outputs[1].result(20).filepath == str(tmp_path / "b")
    assert paths[1].read_text() == "made"

    @join_app
    def forget(outputs=()):
        return add(1)

    with pytest.raises(MissingOutputs, match="missing"):
        forget(outputs=[tmp_path / "missing"]).result(20)


def test_futures_are_found_in_lists_tuples_sets_and_dicts():
    @python_app
    def everything(nested):
        return nested["list"][0] + nested["tuple"][0][0] + sum(nested["set"])

    assert everything({"list": [add(1)], "tuple": ((add(2),),), "set": {add(3)}}).result(60) == 6


def test_app_futures_work_with_as_completed_and_wait():
    futures = [add(n) for n in range(20)]
    assert sorted(f.result() for f in concurrent.futures.as_completed(futures, 60)) == list(range(20))
    assert not concurrent.futures.wait(futures, 60).not_done


def test_app_futures_can_be_awaited():
    async def main():
        return await asyncio.gather(*(asyncio.wrap_future(add(n, b=1)) for n in range(5)))

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_waiting_task_is_cancelled(dfk):
    @python_app
    def nap():
        import time

        time.sleep(0.5)

    @python_app
    def after(_):
        return 1

    waiting = after(nap())
    assert waiting.cancel()
    assert waiting.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(0)
