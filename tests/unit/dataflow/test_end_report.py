"""Lines at the end of a run, about tasks that were dropped and failures that nobody asked about."""

import sys
from concurrent.futures import CancelledError

from cnflow.dataflow.end_report import Failure, lines_on, write
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.errors import DependencyError, ExecutorClosedError, JoinError
from cnflow.model.task import AppFunction


def failure(number, error, words="", *, asked=False):
    future = AppFuture(number, AppFunction(len), None)
    future.set_exception(error)
    if asked:
        assert future.exception(0) is error
    return Failure(future, error, words or type(error).__name__)


def lines(*failures):
    return lines_on(failures, 10, "why")


def test_nothing_is_said_of_success_and_cancellation():
    assert lines(failure(0, CancelledError())) == []


def test_failures_that_nobody_asked_about_are_counted_and_the_first_is_named():
    several = lines(*[failure(n, ValueError(n), f"ValueError: {n}\nmore") for n in range(3)])
    assert several == [
        "3 tasks have failed, and nobody asked for their results. The first: task 0 (len): ValueError: 0 more"
    ]
    assert lines(failure(4, KeyError(1)))[0].startswith("1 task has failed, and nobody asked for its results.")


def test_failures_that_were_asked_about_are_left_out():
    assert lines(failure(0, ValueError(0), asked=True)) == []
    (line,) = lines(failure(0, ValueError(0), asked=True), failure(1, KeyError(1), "KeyError: 1"))
    assert line.endswith("The first: task 1 (len): KeyError: 1")


def test_part_of_a_result_that_was_asked_for_counts_for_its_task():
    future = AppFuture(0, AppFunction(len), None)
    part = future["key"]
    error = ValueError(0)
    future.set_exception(error)
    assert isinstance(part.exception(0), DependencyError)
    assert lines(Failure(future, error, "x")) == []


def test_failures_behind_another_are_counted_with_it():
    root = ValueError(0)
    behind = DependencyError("Task 1 (len)", "Task 0 (len)", root)
    (line,) = lines(failure(0, root, "ValueError: 0"), failure(1, behind))
    assert line.startswith("1 task has failed, 1 more were not run because of that, and nobody asked for its results.")


def test_question_about_a_task_covers_the_failures_that_its_error_names():
    root, other = ValueError(0), KeyError(1)
    behind = DependencyError("Task 2 (len)", "Task 0 (len)", root)
    joined = JoinError("Task 3 (len)", "Task 2 (len)", behind, [(other, "Task 1 (len)")])
    known = failure(0, root), failure(1, other), failure(2, behind), failure(3, joined, asked=True)
    assert lines(*known) == []
    beside = failure(4, DependencyError("Task 4 (len)", "Task 0 (len)", root))
    assert lines(*known, beside) == [], "its root cause is known"


def test_tasks_that_the_end_of_the_run_dropped_are_counted_apart():
    dropped = ExecutorClosedError("ended")
    found = lines(
        failure(3, dropped), failure(4, DependencyError("Task 4 (len)", "Task 3 (len)", dropped)), failure(5, OSError())
    )
    assert found == [
        "2 tasks were not done when the run ended (why), and dropped, of 10 in all. The first: task 3 (len)",
        "1 task has failed, and nobody asked for its results. The first: task 5 (len): OSError",
    ]


def test_lines_are_written_where_there_is_a_stderr(monkeypatch, capsys):
    write(["one", "two"])
    assert capsys.readouterr().err == "cnflow: one\ncnflow: two\n"
    monkeypatch.setattr(sys, "stderr", None)
    write(["nowhere"])
