"""`AppFuture` as a `concurrent.futures.Future`, although it is made without the base class's parts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import pytest

from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.task_record import TaskRecord
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.futures.owner import FutureOwner


class _Owner:
    def state_name(self, future: AppFuture) -> str:
        return "done" if future.done() else "launched"

    def record_of(self, future: AppFuture, app: AppFunction) -> TaskRecord:
        return TaskRecord(app, (), {}, "threads", future)


def new_future(number: int = 0) -> AppFuture:
    return AppFuture(TaskId(number), AppFunction(len), cast("FutureOwner", _Owner()))


def run_once_waited_for(future: AppFuture, *acts: Callable[[], None]) -> threading.Thread:
    """Call *acts* in a new thread, once another thread waits for *future*."""

    def run() -> None:
        while not getattr(future._condition, "_waiters", ()) and not future._waiters:
            pass
        for act in acts:
            act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_future_has_every_attribute_of_a_plain_future() -> None:
    missing = [name for name in vars(Future()) if name not in dir(new_future())]
    assert not missing


class TestWaiting:
    def test_result_returns_what_another_thread_sets(self) -> None:
        future = new_future()
        thread = run_once_waited_for(future, lambda: future.set_result(7))
        assert future.result(timeout=20) == 7
        thread.join()

    def test_exception_returns_what_another_thread_sets(self) -> None:
        future = new_future()
        error = ValueError("7")
        thread = run_once_waited_for(future, lambda: future.set_exception(error))
        assert future.exception(timeout=20) is error
        thread.join()

    def test_settling_wakes_all_threads_that_wait(self) -> None:
        future = new_future()
        found: list[Any] = []
        threads = [threading.Thread(target=lambda: found.append(future.result(20))) for _ in range(5)]
        for thread in threads:
            thread.start()
        while len(getattr(future._condition, "_waiters", ())) < len(threads):
            pass
        future.set_result(7)
        for thread in threads:
            thread.join()
        assert found == [7] * 5

    def test_wait_ends_at_its_timeout(self) -> None:
        with pytest.raises(concurrent.futures.TimeoutError):
            new_future().result(timeout=0.01)
        with pytest.raises(concurrent.futures.TimeoutError):
            new_future().exception(timeout=0)

    def test_waiting_for_one_future_does_not_block_setting_another(self) -> None:
        waited, other = new_future(0), new_future(1)
        thread = run_once_waited_for(waited, lambda: other.set_result(1), lambda: waited.set_result(2))
        assert waited.result(timeout=20) == 2
        assert other.result(timeout=0) == 1
        thread.join()

    def test_wait_and_as_completed_take_settled_and_pending_futures(self) -> None:
        futures = [new_future(number) for number in range(3)]
        futures[1].set_result("b")
        first, _, last = futures
        thread = run_once_waited_for(last, lambda: last.set_result("c"), lambda: first.set_result("a"))
        done, left = concurrent.futures.wait(futures, timeout=20)
        assert done == set(futures)
        assert not left
        assert set(concurrent.futures.as_completed(futures, timeout=20)) == set(futures)
        thread.join()

    def test_asyncio_waits_for_a_wrapped_future(self) -> None:
        future = new_future()

        async def wait() -> Any:
            asyncio.get_running_loop().call_soon(future.set_result, 7)
            return await asyncio.wrap_future(future)

        assert asyncio.run(wait()) == 7


class TestCallbacks:
    def test_callbacks_added_before_and_after_the_end_are_called_in_order(self) -> None:
        future = new_future()
        called: list[str] = []
        future.add_done_callback(lambda _: called.append("first"))
        future.add_done_callback(lambda _: called.append("second"))
        future.set_result(None)
        future.add_done_callback(lambda done: called.append(f"late, {done is future}"))
        assert called == ["first", "second", "late, True"]

    def test_callbacks_of_one_future_are_not_called_for_another(self) -> None:
        called: list[str] = []
        watched, other = new_future(0), new_future(1)
        watched.add_done_callback(lambda _: called.append("watched"))
        other.set_result(None)
        assert not called


def test_future_is_set_once() -> None:
    future = new_future()
    future.set_result(1)
    with pytest.raises(concurrent.futures.InvalidStateError):
        future.set_result(2)


def test_each_future_has_its_own_list_of_outputs() -> None:
    one, other = new_future(0), new_future(1)
    assert one.outputs == []
    assert one.outputs is one.outputs
    assert one.outputs is not other.outputs
