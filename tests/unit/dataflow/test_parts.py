"""``future["key"]`` and ``future.name``."""

import asyncio
import concurrent.futures
import copy
import pickle
import threading
from collections.abc import Iterable
from types import SimpleNamespace

import pytest

from cnflow.errors import DependencyError, JoinError, SerializationError
from cnflow.model.task import AppFunction, AppKind

PROBED_BY_LIBRARIES = [
    "__array__",  # NumPy
    "__array_interface__",
    "__dataframe__",
    "__len__",
    "__wrapped__",  # inspect
    "_asyncio_future_blocking",
    "_ipython_canary_method_should_not_exist_",
    "_ipython_display_",
    "_repr_svg_",
    "_repr_mimebundle_",
]


@pytest.fixture
def make_future(make_dfk, executor):
    """Makes a future of a value: ``make_future(value, run=True)``."""
    dfk = make_dfk()

    def make(value, *, run=True):
        def answer():
            if isinstance(value, BaseException):
                raise value
            return value

        future = dfk.submit(AppFunction(answer), (), {})
        if run:
            executor.run()
        return future

    make.dfk = dfk
    return make


def test_element_or_attribute_of_a_future_is_a_future(make_future, executor):
    whole = make_future({"a": [1, {"b": SimpleNamespace(c="deep")}]}, run=False)
    part = whole["a"][1]["b"].c
    assert not part.done()
    executor.run()
    assert part.result(0) == "deep"


def test_part_may_be_taken_after_the_whole_is_done(make_future):
    assert make_future(["X", "Y"])[1].result(0) == "Y"
    assert make_future(("X", "Y"))[-1].result(0) == "Y"
    assert make_future(["X", "Y", "Z"])[1:].result(0) == ["Y", "Z"]


def test_part_is_no_task(make_future):
    whole = make_future({"a": 1}, run=False)
    assert whole["a"].tid == whole.tid
    assert make_future.dfk.task_count == 1


def test_task_depends_on_a_part(make_future, executor):
    whole = make_future({"a": 1, "b": 2}, run=False)
    total = make_future.dfk.submit(AppFunction(lambda a, rest: a + rest[0]), (whole["a"], [whole["b"]]), {})
    assert total.task_status() == "waiting"
    executor.run()
    executor.run()
    assert total.result(0) == 3


def test_join_app_may_return_parts(make_future, executor):
    whole = make_future({"a": 1}, run=False)
    joined = make_future.dfk.submit(AppFunction(lambda: [whole["a"]], AppKind.JOIN), (), {})
    failed = make_future.dfk.submit(AppFunction(lambda: [whole["b"]], AppKind.JOIN), (), {})
    executor.run()
    assert joined.result(0) == [1]
    assert isinstance(failed.exception(0), JoinError)
    assert "answer)['b']" in str(failed.exception(0))


@pytest.mark.parametrize(
    ("value", "ask", "error", "message"),
    [
        ({"a": 1}, lambda f: f["c"], KeyError, "'c' (the result of Task 0 (answer) is of type dict)"),
        ([1], lambda f: f[7], IndexError, "list index out of range (the result of Task 0 (answer) is of type list)"),
        (7, lambda f: f.shape, AttributeError, "'int' object has no attribute 'shape' (the result of Task 0 (answer)"),
        (None, lambda f: f["a"], TypeError, "(the result of Task 0 (answer) is of type NoneType)"),
        ({"a": {}}, lambda f: f["a"]["b"], KeyError, "'b' (the result of Task 0 (answer)['a'] is of type dict)"),
    ],
    ids=["key", "index", "attribute", "none", "nested"],
)
def test_missing_part_fails_with_the_lookups_error_and_names_the_task(make_future, value, ask, error, message):
    raised = ask(make_future(value)).exception(0)
    assert type(raised) is error
    assert message in raised.args[0]


def test_error_of_a_users_type_is_passed_on_unchanged(make_future):
    class Shy:
        def __getitem__(self, key):
            raise PermissionError(key)

    raised = make_future(Shy())["a"].exception(0)
    assert (type(raised), raised.args) == (PermissionError, ("a",))


def test_part_of_a_failed_task_fails_with_dependency_error(make_future, executor):
    whole = make_future(ValueError("no rows"), run=False)
    part = whole["a"]
    user = make_future.dfk.submit(AppFunction(str), (part,), {})
    executor.run()
    assert isinstance(part.exception(0), DependencyError)
    assert isinstance(part.exception(0).root_cause, ValueError)
    assert user.exception(0).chain() == ["Task 0 (answer)", "Task 0 (answer)['a']", "Task 1 (str)"]
    assert (part.task_status(), user.task_status()) == ("dependency_failed", "dependency_failed")


def test_cancel_of_a_part_cancels_the_task_and_its_other_parts(make_future):
    whole = make_future({"a": 1, "b": 2}, run=False)
    part, other = whole["a"], whole["b"]
    assert part.cancel()
    assert whole.cancelled()
    assert part.cancelled()
    assert other.cancelled()
    assert not part.cancel()


def test_part_returns_the_state_of_its_task(make_future, executor):
    whole = make_future({"a": 1}, run=False)
    waiting = make_future.dfk.submit(AppFunction(dict), (whole,), {})
    part, late, missing = whole["a"], waiting["a"], whole["b"]
    assert (part.task_status(), late.task_status()) == ("launched", "waiting")
    assert repr(late) == "<AppFuture of Task 1 (dict)['a'], waiting>"
    executor.run()
    assert (part.task_status(), missing.task_status()) == ("done", "failed")
    assert repr(whole.real) == "<AppFuture of Task 0 (answer).real, failed>"


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("reslt", "result"),
        ("out_puts", "outputs"),
        ("output", "outputs"),
        ("std_out", "stdout"),
        ("excepton", "exception"),
        ("cancelld", "cancelled"),
        ("id", "tid"),
        ("taskstatus", "task_status"),
    ],
)
def test_misspelt_attribute_of_the_future_is_refused_at_once(make_future, misspelt, meant):
    future = make_future({}, run=False)
    with pytest.raises(AttributeError, match=rf"no attribute '{misspelt}'. Did you mean '{meant}'\? To use"):
        getattr(future, misspelt)


@pytest.mark.parametrize("name", ["T", "shape", "columns", "real", "std", "mean", "score", "weights", "data", "size"])
def test_common_attributes_of_results_are_not_taken_for_misspelt_ones(make_future, name):
    assert getattr(make_future(SimpleNamespace(**{name: 5})), name).result(0) == 5


@pytest.mark.parametrize("name", PROBED_BY_LIBRARIES)
def test_attribute_that_libraries_probe_for_is_missing(make_future, name):
    assert not hasattr(make_future({}, run=False), name)


def test_future_is_not_iterable(make_future):
    future = make_future([1], run=False)
    assert not isinstance(future, Iterable)
    with pytest.raises(TypeError, match="not iterable"):
        list(future)
    with pytest.raises(TypeError, match="not iterable"):
        1 in future  # noqa: B015 - asking is the test


def test_part_is_not_callable(make_future):
    with pytest.raises(TypeError, match="not callable"):
        make_future([1], run=False).count(1)


def test_copy_of_a_future_is_the_future(make_future):
    future = make_future([1], run=False)
    part = future[0]
    assert copy.copy(future) is future
    assert copy.deepcopy({"k": [future, part]}) == {"k": [future, part]}


def test_pickling_a_future_raises_serialization_error_with_advice(make_future):
    future = make_future([1])
    for each, title in ((future, "Task 0 (answer)"), (future[0], "Task 0 (answer)[0]")):
        with pytest.raises(SerializationError) as caught:
            pickle.dumps([each])
        assert f"The future of {title} cannot be pickled. Pass it to an app" in str(caught.value)


def test_attributes_of_a_future_without_init_are_missing(make_future):
    half = type(make_future(1)).__new__(type(make_future(1)))
    assert not hasattr(half, "tid")
    assert not hasattr(half, "_owner")


def test_parts_work_with_wait_as_completed_and_asyncio(make_future, executor):
    whole = make_future({"a": 1, "b": 2}, run=False)
    parts = [whole["a"], whole["b"]]

    async def both():
        wrapped = [asyncio.wrap_future(part) for part in parts]
        executor.run()
        return await asyncio.gather(*wrapped)

    assert asyncio.run(both()) == [1, 2]
    assert {part.result() for part in concurrent.futures.as_completed(parts, 0)} == {1, 2}


def test_part_taken_while_the_result_arrives_is_settled(make_future, executor):
    for _ in range(50):
        whole = make_future([1], run=False)
        thread = threading.Thread(target=executor.run)
        thread.start()
        part = whole[0]
        assert part.result(5) == 1
        thread.join()


def test_graph_forgets_parts_that_are_done(make_future, executor):
    whole = make_future({"a": 1}, run=False)
    futures = [make_future.dfk.submit(AppFunction(str), (whole["a"],), {}) for _ in range(3)]
    executor.run()
    executor.run()
    assert [future.result(0) for future in futures] == ["1"] * 3
    assert not make_future.dfk._graph._external._futures
    assert not make_future.dfk._graph._external._ids
