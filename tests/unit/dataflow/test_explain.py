from concurrent.futures import Future

import pytest

from cnflow.model.task import AppFunction, AppKind


def add(a, b):
    return a + b


def fail():
    raise ValueError("boom")


@pytest.fixture
def dfk(make_dfk):
    return make_dfk()


def submit(dfk, function, *args, kind=AppKind.PYTHON):
    return dfk.submit(AppFunction(function, kind), args, {})


def test_unknown_task_is_answered_with_the_number_of_tasks(dfk):
    assert dfk.explain(0) == "There is no task 0: none was submitted yet."
    submit(dfk, add, 1, 2)
    assert dfk.explain(1) == "There is no task 1: 1 were submitted so far, counted from 0."
    assert dfk.explain(-1).startswith("There is no task -1")


def test_final_task_is_explained_by_its_end(dfk, executor):
    submit(dfk, add, 1, 2)
    submit(dfk, fail)
    late = submit(dfk, add, Future(), 2)
    executor.run()
    late.cancel()
    assert dfk.explain(0) == "Task 0 is done."
    assert dfk.explain(1) == "Task 1 (fail) failed. ValueError: boom"
    assert dfk.explain(2) == "Task 2 (add) was cancelled."


def test_executor_that_explains_nothing_is_named(dfk):
    submit(dfk, add, 1, 2)
    assert dfk.explain(0).splitlines() == [
        "Task 0 (add) is on its way to executor 'scripted', or has just ended there.",
        "Executor 'scripted' has no image: it takes apps without one.",
    ]


def test_dependencies_are_listed_with_their_states_and_followed_to_launched_tasks(dfk, executor):
    first, second = submit(dfk, add, 1, 2), submit(dfk, add, 3, 4)
    middle = submit(dfk, add, first, second)
    other = Future()
    submit(dfk, add, middle, other)
    executor.explain_task = lambda task: [f"runs on node {task}.", "It is warm there."]
    executor.block_reports = list
    *lines, rule = dfk.explain(3).splitlines()
    assert rule.startswith("Executor 'scripted' has no image")
    assert lines[:2] == ["Task 3 (add) waits for 2 futures that are not done:", "  task 2 (add), waiting"]
    assert "Future" in lines[2]
    assert lines[2].endswith(", not done")
    assert sorted(lines[3:]) == [
        "It is warm there.",
        "It is warm there.",
        "Task 0 (add) runs on node 0.",
        "Task 1 (add) runs on node 1.",
    ]


def test_only_the_first_of_many_dependencies_are_listed(dfk):
    submit(dfk, lambda *all_of_them: all_of_them, *[submit(dfk, add, 1, number) for number in range(14)])
    lines = dfk.explain(14).splitlines()
    assert lines[0] == "Task 14 (<lambda>) waits for 14 futures that are not done:"
    assert lines[11] == "  and 4 more"
    assert len([line for line in lines if line.startswith("Task")]) == 4, "the task and three of those it waits for"


def test_join_app_waits_for_the_futures_that_it_returned(dfk, executor):
    submit(dfk, lambda: submit(dfk, add, 1, 2), kind=AppKind.JOIN)
    assert dfk.explain(0) == "Task 0 (<lambda>) has returned futures that are not all done."
