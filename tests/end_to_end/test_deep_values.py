"""Arguments and results that are nested thousands of levels deep: they work, or an error names them."""

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.errors import ConfigurationError, MemoKeyError, SerializationError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor
from cnflow.providers import LocalProvider


class Node:
    def __init__(self, following):
        self.following = following


WAYS = {
    "lists": lambda value: [value],
    "tuples": lambda value: (1, value),
    "dicts": lambda value: {"k": value},
    "objects": Node,
}


def nested(way, levels=3000):
    value = [1]
    for _ in range(levels):
        value = WAYS[way](value)
    return value


@pytest.fixture(scope="module", autouse=True)
def run(tmp_path_factory):
    one_worker = HighThroughputExecutor(label="processes", provider=LocalProvider(max_blocks=1), max_workers=1)
    executors = [one_worker, ThreadPoolExecutor(label="threads", max_threads=1)]
    with cnflow.load(Config(executors=executors, run_dir=str(tmp_path_factory.mktemp("run")), retries=1)) as dfk:
        yield dfk
    cnflow.clear()


def name_of_type(value):
    return type(value).__name__


@pytest.mark.parametrize("way", WAYS)
def test_deep_argument_reaches_a_thread(way):
    value = nested(way)
    future = python_app(executors="threads")(name_of_type)(value)
    assert future.result(timeout=30) == type(value).__name__
    again = python_app(executors="threads")(name_of_type)(python_app(executors="threads")(nested)(way))
    assert again.result(timeout=30) == type(value).__name__


@pytest.mark.parametrize("way", WAYS)
def test_deep_argument_of_a_process_is_named(way):
    error = python_app(executors="processes")(name_of_type)(nested(way)).exception(timeout=30)
    assert isinstance(error, SerializationError)
    assert str(error).startswith("Argument 'value' of Task ")
    assert "is nested too deeply to be pickled" in str(error)


def test_deep_result_of_a_process_is_an_error_and_its_worker_goes_on():
    error = python_app(executors="processes")(nested)("lists").exception(timeout=30)
    assert isinstance(error, SerializationError)
    assert "recursion depth" in str(error)
    assert python_app(executors="processes")(name_of_type)([1]).result(timeout=30) == "list"


@pytest.mark.parametrize("way", ["lists", "tuples", "dicts"])
def test_deep_argument_of_a_cached_app_is_named(way):
    app = python_app(executors="threads", cache=True)(name_of_type)
    assert app(nested(way)).result(timeout=30) == app(nested(way)).result(timeout=30) == type(nested(way, 1)).__name__
    error = app(nested(way, 5000)).exception(timeout=30)
    assert isinstance(error, MemoKeyError)
    assert "argument 'value' is nested too deeply" in str(error)


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_argument_that_shares_its_parts_is_not_unfolded(executor):
    value = []
    for _ in range(60):
        value = [value, value]

    @python_app(executors=executor, cache=True)
    def is_shared(value):
        return value[0] is value[1]

    assert is_shared(value).result(timeout=30) is True


def test_list_that_holds_itself_is_refused_at_the_call():
    value = []
    value.append(value)
    with pytest.raises(ConfigurationError, match="a list is inside itself"):
        python_app(name_of_type)(value)


def test_deep_global_of_a_function_is_an_error_that_names_the_depth():
    names = {"deep": nested("lists")}
    exec("def function():\n    return type(deep).__name__", names)
    assert python_app(executors="threads")(names["function"])().result(timeout=30) == "list"
    error = python_app(executors="processes")(names["function"])().exception(timeout=30)
    assert isinstance(error, SerializationError)
    assert "a value (a global, a default, a variable of a closure) that is nested too deeply" in str(error)
