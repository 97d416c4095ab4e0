"""Threads for the user's callbacks, and the callbacks that run elsewhere."""

import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from cnflow.dataflow.futures import callbacks
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.futures.callbacks import CallbackThreads, on_done
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.model.task import AppFunction


@pytest.fixture
def threads():
    """Threads, which end with the test."""
    made = CallbackThreads("cnflow-test-callbacks")
    yield made
    made.close()
    for thread in living():
        thread.join(10)
    assert living() == []


def living():
    return [thread for thread in threading.enumerate() if thread.name == "cnflow-test-callbacks"]


class Owner:
    """What a future needs of its task graph."""

    def __init__(self, threads):
        self.callbacks = threads

    def state_name(self, future):
        return "done"

    def record_of(self, future, app):
        return SimpleNamespace(executor="htex")


@pytest.fixture
def future(threads):
    return AppFuture(0, AppFunction(len), Owner(threads))


def settle_in_a_driver_thread(future, value=1):
    thread = threading.Thread(target=future.set_result, args=[value], name="cnflow-htex-interchange")
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


def test_calls_are_made_one_after_the_other(threads, monkeypatch):
    monkeypatch.setattr(callbacks, "LONG", 60.0)  # a busy machine may hold up a call for longer than usual
    seen, running, overlaps = [], [], []

    def call(number):
        overlaps.extend(running)
        running.append(number)
        seen.append(number)
        running.remove(number)

    for number in range(1000):
        threads.run(lambda number=number: call(number))
    assert threads.drain()
    assert seen == list(range(1000))
    assert overlaps == []
    assert len(living()) <= 2, "one that calls, and one that would take over"
    assert not threads.drain()


def test_call_that_waits_holds_up_none_of_those_behind_it(threads, monkeypatch):
    monkeypatch.setattr(callbacks, "LONG", 0.01)
    events, seen = [threading.Event() for _ in range(5)], []
    for event in events:
        threads.run(lambda event=event: seen.append(event.wait(10)))
    last = threading.Event()
    threads.run(last.set)
    assert last.wait(10)
    for number in range(100):
        threads.run(lambda number=number: seen.append(number))
    begin = time.monotonic()
    while len(seen) < 100 and time.monotonic() < begin + 10:
        time.sleep(0.001)
    assert seen == list(range(100)), "once the others are known to be long, nobody waits for them"
    assert time.monotonic() - begin < 5, "far less than 10 s for each of those that wait"
    for event in events:
        event.set()
    assert threads.drain()
    assert seen[100:] == [True] * 5


def test_call_that_raises_ends_no_thread(threads, caplog):
    def leave():
        raise SystemExit

    threads.run(leave)
    seen = []
    threads.run(lambda: seen.append(1))
    threads.drain()
    assert seen == [1]
    assert "a callback raised" in caplog.text


def test_drain_in_a_call_does_not_wait_for_that_call(threads):
    drained = []
    threads.run(lambda: drained.append(threads.drain()))
    threads.drain()
    assert drained == [False]


def test_threads_end_with_their_run(threads):
    threads.run(int)
    threads.drain()
    assert len(living()) == 1
    threads.close()
    for thread in living():
        thread.join(10)
    assert living() == []
    seen = []
    threads.run(lambda: seen.append(1))
    threads.drain()
    assert seen == [1], "a callback that comes late is called, too"


def test_users_callbacks_run_apart_from_the_thread_that_settles_their_future(future):
    names, others = [], []
    future.add_done_callback(lambda _: names.append(threading.current_thread().name))
    on_done(future, lambda _: others.append(threading.current_thread().name))
    settle_in_a_driver_thread(future)
    future._owner.callbacks.drain()
    assert names == ["cnflow-test-callbacks"]
    assert others == ["cnflow-htex-interchange"]


def test_callback_that_raises_keeps_none_of_the_others_from_running(future, caplog):
    def leave(_):
        raise SystemExit

    seen = []
    future.add_done_callback(leave)
    future.add_done_callback(seen.append)
    settle_in_a_driver_thread(future)
    future._owner.callbacks.drain()
    assert seen == [future]
    assert "a callback of <AppFuture of task 0 (len), done" in caplog.text


def test_callbacks_run_at_once_in_the_users_own_threads(future):
    seen = []
    future.add_done_callback(lambda _: seen.append(threading.current_thread()))
    future.set_result(1)
    future.add_done_callback(lambda _: seen.append(threading.current_thread()))
    assert seen == [threading.current_thread()] * 2
    assert living() == []


def test_files_and_parts_of_a_result_are_settled_without_waiting_for_callbacks(future):
    may_end = threading.Event()
    part, file = future["key"], DataFuture(future, "file")
    future.add_done_callback(lambda _: may_end.wait(10))
    settle_in_a_driver_thread(future, {"key": 2})
    assert part.result(0) == 2
    assert file.result(0).filename == "file"
    may_end.set()


def test_part_of_a_users_type_is_looked_up_apart(future):
    class Slow:
        def __getitem__(self, key):
            return key, threading.current_thread().name

    part = future["key"]
    settle_in_a_driver_thread(future, Slow())
    assert part.result(10) == ("key", "cnflow-test-callbacks")


def test_own_callbacks_of_other_futures_are_ordinary_ones():
    other, seen = Future(), []
    on_done(other, seen.append)
    other.set_result(1)
    on_done(other, seen.append)
    assert seen == [other, other]
