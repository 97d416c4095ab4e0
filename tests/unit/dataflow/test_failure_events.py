"""Events of failed tries: exit codes, signals, tracebacks, bounded."""

from types import SimpleNamespace

import pytest

from cnflow.dataflow.failure_events import LONGEST, exit_of, failure_event, traceback_of
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.task_events import _reason_of
from cnflow.errors import BashExitFailure, RemoteError, WorkerLost
from cnflow.executors.high_throughput.results import TaskTraceback
from cnflow.model.provenance import Place
from cnflow.model.task import AppFunction, TaskState


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (ValueError("x"), -1, ""),
        (BashExitFailure("f", 3), 3, ""),
        (BashExitFailure("f", -9), -1, "SIGKILL"),
        (WorkerLost("t", "w", 1), 1, ""),
        (WorkerLost("t", "w", -11), -1, "SIGSEGV"),
        (WorkerLost("t", "w", -9, "", "out of memory (OOM): the kernel killed it"), -1, "OOM"),
        (WorkerLost("t", "w", -200), -1, "signal 200"),
    ],
)
def test_exit_code_and_signal_are_those_of_the_command_or_the_worker(error, code, name):
    assert exit_of(error) == (code, name)


def test_traceback_is_the_workers_where_there_is_one():
    error = ValueError("x")
    error.__cause__ = TaskTraceback("Traceback of the worker")
    assert traceback_of(error) == "Traceback of the worker"
    assert traceback_of(RemoteError("E", "m", "of the image")) == "of the image"
    assert traceback_of(ValueError("x")) == ""


def divide(number):
    return number / 0


def test_traceback_of_a_thread_ends_in_the_users_line():
    with pytest.raises(ZeroDivisionError) as caught:
        divide(1)
    text = traceback_of(caught.value)
    assert "return number / 0" in text
    assert text.endswith("ZeroDivisionError: division by zero")


def test_event_has_place_and_end_and_is_bounded():
    future = AppFuture(7, AppFunction(len), None)
    future._place, future._stopped, future._seconds, future._worker = Place("r", "x", host="n1", block="2"), 9.0, 1.5, 3
    error = BashExitFailure("f", 2, "cmd https://a:b@host/", "last words of ftp://a:b@host/")
    error.__cause__ = TaskTraceback("x" * 3 * LONGEST)
    future._ended = 1.0
    record = SimpleNamespace(error=error, future=future, failures=["BashExitFailure: m"], fail_cost=1.5)
    event = failure_event(record, 1, is_retried=True)
    assert event.cost == 1.5
    assert (event.task, event.attempt, event.exit_code, event.stderr_tail) == (7, 1, 2, "last words of ftp://***@host/")
    assert (event.host, event.block, event.worker, event.started, event.ended) == ("n1", "2", 3, 7.5, 9.0)
    assert (event.message, event.error_type) == ("m", "BashExitFailure")
    assert len(event.traceback) <= LONGEST


def test_reason_of_a_failed_task_has_no_password():
    record = SimpleNamespace(failures=["OSError: https://a:b@host/x cannot be read"])
    failed = SimpleNamespace(state=TaskState.FAILED, record=record, value=None)
    lost = SimpleNamespace(state=TaskState.DEPENDENCY_FAILED, record=record, value=OSError("https://a:b@host/x"))
    assert _reason_of(failed) == "OSError: https://***@host/x cannot be read"
    assert _reason_of(lost) == "OSError: https://***@host/x"
