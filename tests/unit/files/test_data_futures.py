import asyncio
import concurrent.futures
import threading
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, as_completed, wait

import pytest

from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.errors import ConfigurationError
from cnflow.model.file import File


@pytest.fixture
def parent():
    return Future()


@pytest.fixture
def data(parent):
    return DataFuture(parent, File("out/a.txt"), 7)


def test_data_future_has_its_file_before_that_exists(data, parent):
    assert (data.filepath, data.filename, data.tid, data.parent) == ("out/a.txt", "out/a.txt", 7, parent)
    assert not data.done()
    with pytest.raises(concurrent.futures.TimeoutError):
        data.result(0)


def test_data_future_results_in_its_file_when_the_task_is_done(data, parent):
    parent.set_result("the value of the app")
    assert data.result(0) is data.file_obj
    assert data.exception(0) is None
    assert data.done()
    assert not data.cancelled()


def test_data_future_fails_with_the_tasks_own_exception(data, parent):
    error = ValueError("no rows")
    parent.set_exception(error)
    assert data.exception(0) is error
    with pytest.raises(ValueError, match="no rows"):
        data.result(0)


def test_cancelling_a_data_future_cancels_the_task_and_all_its_outputs(data, parent):
    other = DataFuture(parent, "out/b.txt")
    assert data.cancel()
    assert parent.cancelled()
    assert data.cancelled()
    assert other.cancelled()
    assert other.done()
    with pytest.raises(CancelledError):
        other.result(0)


def test_data_future_of_a_finished_task_cannot_be_cancelled(data, parent):
    parent.set_result(None)
    assert not data.cancel()
    assert data.result() == File("out/a.txt")


def test_data_future_runs_while_the_task_runs(data, parent):
    parent.set_running_or_notify_cancel()
    assert data.running()
    parent.set_result(None)
    assert not data.running()


def end_well(future):
    future.set_result(None)


def end_badly(future):
    future.set_exception(ValueError())


def end_early(future):
    future.cancel()


@pytest.mark.parametrize("end", [end_well, end_badly, end_early])
def test_waiters_are_woken_by_each_end_of_the_task(data, parent, end):
    seen = []
    data.add_done_callback(seen.append)
    threading.Timer(0.01, end, [parent]).start()
    assert wait([data, Future()], timeout=10, return_when=FIRST_COMPLETED).done == {data}
    assert list(as_completed([data], timeout=10)) == [data]
    assert seen == [data]


def test_data_future_is_done_at_the_moment_the_task_is(parent):
    seen = []
    parent.add_done_callback(lambda _: seen.append((data.done(), data.result(0))))  # before its own
    data = DataFuture(parent, "a.txt")
    parent.set_result(None)
    assert seen == [(True, File("a.txt"))]


def test_data_future_of_an_existing_file_is_done_at_once():
    data = DataFuture(None, "a.txt")
    assert data.done()
    assert data.result(0) == File("a.txt")
    assert not data.cancel()
    assert data.tid is None


def test_data_future_of_a_finished_task_is_done(parent):
    parent.set_result(None)
    assert next(iter(as_completed([DataFuture(parent, "a.txt")], timeout=1))).result(0) == File("a.txt")


def test_data_futures_of_one_file_are_not_equal(data, parent):
    assert data == data  # noqa: PLR0124 - that is the question
    assert data != DataFuture(parent, data.file_obj, 7)


def test_asyncio_waits_for_a_data_future(data, parent):
    async def main():
        threading.Timer(0.01, parent.set_result, [None]).start()
        return await asyncio.wait_for(asyncio.wrap_future(data), 10)

    assert asyncio.run(main()) == File("out/a.txt")


def test_path_is_unknown_while_the_file_is_elsewhere(parent):
    data = DataFuture(parent, "https://h/a.txt")
    assert data.filename == "a.txt"
    with pytest.raises(ConfigurationError, match="was not staged"):
        _ = data.filepath


def test_repr_shows_file_and_state(data, parent):
    parent.name = "sort"
    assert repr(data) == "<DataFuture of task 7 (sort) for 'out/a.txt', pending>"
    parent.set_exception(ValueError())
    assert repr(data) == "<DataFuture of task 7 (sort) for 'out/a.txt', failed>"
    assert repr(DataFuture(None, "a")) == "<DataFuture for 'a', done>"
    cancelled = DataFuture(Future(), "a", 0)
    cancelled.cancel()
    assert repr(cancelled) == "<DataFuture of task 0 for 'a', cancelled>"
