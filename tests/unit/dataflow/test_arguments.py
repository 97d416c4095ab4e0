"""Arguments of a task are what they were at the call: at each attempt, after any wait, in the cache, everywhere."""

from concurrent.futures import Future

import pytest

import cnflow
from cnflow.config import Config, ThreadPoolExecutor
from cnflow.dataflow.call_options import AppOptions, CallOptions, parse_call_options
from cnflow.errors import ManagerLost
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.model.task import AppFunction, AppKind, ArgumentUse, Outcome
from cnflow.wire import serialization

CACHED = AppOptions(cache=True)


def show(*args, **kwargs):
    return repr((args, kwargs))


def change(values, *rest):
    values.append("changed by the task")
    raise ValueError(values)


@pytest.fixture(params=ArgumentUse)
def use(request, executor):
    executor.argument_use = request.param
    return request.param


@pytest.fixture
def packing(executor):
    """Executor that packs at submission, and runs what it has packed."""
    serializer = TaskSerializer()
    submit = executor.submit

    def pack(tasks):
        loaded = []
        for task in tasks:
            serializer.serialize(task)
            kept = task.kept.payload if task.kept else serialization.dump((task.args, task.kwargs))
            args, kwargs, *_ = serialization.load(kept.body, kept.buffers)
            loaded.append(task._replace(args=args, kwargs=kwargs, kept=None))
        submit(loaded)

    executor.argument_use = ArgumentUse.PACKED
    executor.submit = pack
    return executor


@pytest.fixture(params=["copied", "packed"])
def either(request, executor):
    return request.getfixturevalue("packing") if request.param == "packed" else executor


def test_waiting_task_gets_the_arguments_of_the_call(make_dfk, either):
    dfk, gate = make_dfk(), Future()
    values, named = [1], {"a": [2]}
    future = dfk.submit(AppFunction(show), (values, gate), {"named": named})
    values.append("late")
    named["a"].clear()
    gate.set_result(0)
    either.run()
    assert future.result(0) == "(([1], 0), {'named': {'a': [2]}})"


def test_ready_task_gets_the_arguments_of_the_call(make_dfk, either):
    dfk, values = make_dfk(), [1]
    futures = []
    for number in range(3):
        values[0] = number
        futures.append(dfk.submit(AppFunction(show), (values,), {}))
    either.run()
    assert [future.result(0) for future in futures] == [f"(([{n}],), {{}})" for n in range(3)]


@pytest.mark.parametrize("waits", [True, False])
def test_each_attempt_gets_the_arguments_of_the_call(make_dfk, either, waits):
    dfk, gate, seen, values = make_dfk(retries=2), Future(), [], [1]

    def fail(values, *rest):
        seen.append(repr(values))
        change(values)

    dfk.submit(AppFunction(fail), (values, *([gate] if waits else [])), {})
    values.append("late")
    gate.set_result(0)
    for _ in range(3):
        either.run()
        values.append("later")
    assert seen == ["[1]"] * 3


def test_task_that_was_lost_gets_the_arguments_of_the_call(make_dfk, packing):
    dfk, values = make_dfk(), [1]
    future = dfk.submit(AppFunction(show), (values,), {})
    values.append("late")
    (task,) = packing.taken
    packing.taken = []
    packing.report([Outcome(task.id, None, ManagerLost("gone"))])
    packing.run()
    assert future.result(0) == "(([1],), {})"


def test_retry_handler_may_change_the_arguments(make_dfk, either):
    def handler(error, record):
        record.args = ([2],)
        return 1

    dfk = make_dfk(retries=1, retry_handler=handler)

    def fail_with_one(values):
        return repr(values) if values != [1] else 1 / 0

    future = dfk.submit(AppFunction(fail_with_one), ([1],), {})
    either.run()
    either.run()
    assert future.result(0) == "[2]"


def test_result_that_the_user_changes_reaches_a_task_that_still_waits_as_it_was(make_dfk, either):
    dfk, gate = make_dfk(), Future()
    first = dfk.submit(AppFunction(lambda: [1]), (), {})
    future = dfk.submit(AppFunction(show), ([first], gate), {})
    first.add_done_callback(lambda done: done.result().append("by a callback"))
    either.run()
    first.result(0).append("by its caller")
    late = dfk.submit(AppFunction(show), (first, gate), {})
    first.result(0).append("later")
    gate.set_result(0)
    either.run()
    assert future.result(0) == "(([[1]], 0), {})"
    assert late.result(0) == "(([1, 'by a callback', 'by its caller'], 0), {})"


def test_external_result_that_is_changed_reaches_a_task_that_still_waits_as_it_was(make_dfk, either):
    dfk, gate, first, value = make_dfk(), Future(), Future(), [1]
    future = dfk.submit(AppFunction(show), (first, gate), {})
    first.set_result(value)
    value.append("late")
    gate.set_result(0)
    either.run()
    assert future.result(0) == "(([1], 0), {})"


def test_tasks_that_change_the_same_result_do_not_see_each_others_changes(make_dfk, either):
    dfk = make_dfk(retries=1)
    first = dfk.submit(AppFunction(lambda: [1]), (), {})
    seen = []

    def look(values):
        seen.append(repr(values))
        change(values)

    for _ in range(2):
        dfk.submit(AppFunction(look), (first,), {})
    either.run()
    for _ in range(2):
        either.run()
    assert seen == ["[1]"] * 4
    assert first.result(0) == [1]


def test_key_and_value_of_a_cached_call_are_of_the_same_arguments(make_dfk, either):
    dfk, values, app = make_dfk(), [0], AppFunction(show)
    futures = []
    for number in range(3):
        values[0] = number
        futures.append(dfk.submit(app, (values,), {}, CACHED))
    values[0] = 2
    futures.append(dfk.submit(app, (values,), {}, CACHED))  # waits for the one before
    values[0] = "late"
    either.run()
    assert [future.result(0) for future in futures] == [f"(([{n}],), {{}})" for n in (0, 1, 2, 2)]
    assert dfk.submit(app, ([1],), {}, CACHED).result(0) == "(([1],), {})"


def test_next_of_identical_calls_gets_the_arguments_of_its_call(make_dfk, either):
    dfk, values, seen = make_dfk(), [1], []
    app = AppFunction(lambda values: seen.append(repr(values)) or 1 / 0)
    for _ in range(2):
        dfk.submit(app, (values,), {}, CACHED)
    values.append("late")
    either.run()
    either.run()
    assert seen == ["[1]", "[1]"]


def test_join_app_gets_the_arguments_of_the_call(make_dfk):
    dfk, gate, values = make_dfk(), Future(), [1]
    seen = []
    dfk.submit(AppFunction(lambda values, _: seen.append(values) or [], AppKind.JOIN), (values, gate), {})
    values.append("late")
    gate.set_result(0)
    assert seen == [[1]]


def test_executor_that_shares_gets_the_callers_own_objects(make_dfk, executor):
    executor.argument_use = ArgumentUse.SHARED
    dfk, gate, values = make_dfk(retries=1), Future(), [1]
    first = dfk.submit(AppFunction(lambda: [2]), (), {})
    future = dfk.submit(AppFunction(lambda *args: args), (values, first, gate), {})
    values.append("late")
    executor.run()
    gate.set_result(0)
    executor.run()
    assert future.result(0)[0] is values
    assert future.result(0)[1] is first.result(0)


def test_arguments_that_cannot_change_are_not_copied(make_dfk, use, executor):
    dfk, argument = make_dfk(), (1, "a" * 100)
    first = dfk.submit(AppFunction(show), (argument,), {})
    dfk.submit(AppFunction(show), (first, argument), {})
    (task,) = executor.taken
    assert task.args[0] is argument
    assert task.kept is None
    executor.run()
    (task,) = executor.taken
    assert task.args[1] is argument
    assert task.kept is None


def test_environment_of_a_call_is_copied():
    env = {"A": "1"}
    options = parse_call_options("app", {"env": env})
    env["A"] = "2"
    assert options == CallOptions(env={"A": "1"})


@pytest.mark.parametrize("copies", [True, False])
def test_threads_share_arguments_only_if_they_are_set_so(tmp_path, copies):
    executor = ThreadPoolExecutor(max_threads=1, copy_arguments=copies)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        gate, values = Future(), [1]
        future = cnflow.python_app(lambda values, gate: values.append("by the task") or list(values))(values, gate)
        values.append("late")
        gate.set_result(0)
        assert future.result(20) == ([1, "by the task"] if copies else [1, "late", "by the task"])
        assert values == ([1, "late"] if copies else [1, "late", "by the task"])
