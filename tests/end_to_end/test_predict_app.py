"""`cnflow.predict_app` in worker processes and threads: a module that is installed there, and not in the driver."""

import functools
import sys

import pytest

import cnflow
from cnflow import Config, predict_app
from cnflow.errors import ConfigurationError, PredictModuleError
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

MODEL = """
import itertools, os

imports = [os.getpid()]
setups = []

def setup():
    setups.append(os.getpid())

def predict(rows):
    return [(row, os.getpid(), len(imports), len(setups)) for row in rows]

def short(rows):
    return rows[:-1]

def endless(rows):
    return (row for row in rows)

async def later(rows):
    return [-row for row in rows]

class Model:
    def predict(self, rows):
        return [2 * row for row in rows]

model = Model()
numbers = itertools.count()

def a(rows):
    return [next(numbers) for _ in rows]

def b(rows):
    return a(rows)
"""

FAILING = """
import os, pathlib

def setup():
    calls = pathlib.Path(os.environ["SETUP_CALLS"])
    with calls.open("a") as file:
        file.write("called\\n")
    if len(calls.read_text().splitlines()) < 3:
        raise ConnectionError("no weights yet")

def predict(rows):
    return rows
"""

in_workers = functools.partial(predict_app, executors="workers")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder of modules that workers find, and the driver does not."""
    folder = tmp_path_factory.mktemp("packages")
    (folder / "model_here.py").write_text(MODEL)
    (folder / "model_failing.py").write_text(FAILING)
    (folder / "model_needy.py").write_text("import a_package_that_is_missing\n")
    return folder


@pytest.fixture(scope="module")
def workers(packages, tmp_path_factory):
    """A run with threads and one worker, which has the folder on its path."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        patch.setenv("SETUP_CALLS", str(folder / "calls"))
        executors = [HighThroughputExecutor(label="workers", max_workers=1), ThreadPoolExecutor(max_threads=4)]
        with cnflow.load(Config(executors=executors, run_dir=str(folder))):
            yield folder


def test_module_is_imported_and_set_up_once_for_many_tasks(workers):
    predict = in_workers(module="model_here")
    futures = [predict([n, n + 1]) for n in range(20)]
    results = [future.result(60) for future in futures]
    assert [[row for row, *_ in result] for result in results] == [[n, n + 1] for n in range(20)]
    assert {(imports, setups) for result in results for _, _, imports, setups in result} == {(1, 1)}
    assert len({pid for result in results for _, pid, *_ in result}) == 1
    assert "model_here" not in sys.modules


def test_attribute_with_dots_and_coroutine_are_called(workers):
    assert in_workers(module="model_here", function="model.predict")([1, 2]).result(60) == [2, 4]
    assert in_workers(module="model_here", function="later")([1, 2]).result(60) == [-1, -2]


def test_future_of_a_list_is_waited_for(workers):
    double = in_workers(module="model_here", function="model.predict")
    assert double(double([1, 2])).result(60) == [4, 8]


def test_setup_that_raises_fails_the_task_and_is_called_again_by_the_next(workers):
    predict = in_workers(module="model_failing", retries=0)
    errors = [predict([1]).exception(60) for _ in range(2)]
    assert [str(error) for error in errors] == ["no weights yet"] * 2
    if sys.version_info >= (3, 11):
        assert "setup() of model_failing" in errors[0].__notes__[0]
    assert predict([1]).result(60) == predict([1]).result(60) == [1]
    assert (workers / "calls").read_text().splitlines() == ["called"] * 3


@pytest.mark.parametrize(
    ("module", "function", "words"),
    [
        ("model_hree", "predict", r"no module 'model_hree' is found in Python .*sys\.path: .*packages"),
        ("model_here", "predcit", r"has no function 'predcit'.*Did you mean 'predict'\?"),
        ("model_here", "model", "has a Model, which cannot be called"),
        ("model_here", "short", "returned 2 results for 3 rows"),
        ("model_here", "endless", "returned a value of type generator, which has no length"),
    ],
)
def test_error_names_what_is_wrong_with_the_module(workers, module, function, words):
    error = in_workers(module=module, function=function)([1, 2, 3]).exception(60)
    assert isinstance(error, PredictModuleError)
    assert error.args[0] == str(error)
    with pytest.raises(PredictModuleError, match=words):
        raise error


def test_package_that_the_module_lacks_is_named(workers):
    error = in_workers(module="model_needy")([1]).exception(60)
    assert isinstance(error, ModuleNotFoundError)
    assert error.name == "a_package_that_is_missing"


def test_rows_without_a_length_are_refused(workers):
    with pytest.raises(PredictModuleError, match="takes a list of rows, not a value of type int"):
        in_workers(module="model_here", function="later")(3).result(60)


def test_threads_of_the_driver_set_the_module_up_once(packages, workers, monkeypatch):
    monkeypatch.syspath_prepend(str(packages))
    predict = predict_app(module="model_here", executors="threads")
    try:
        futures = [predict([n]) for n in range(20)]
        assert {future.result(60)[0][3] for future in futures} == {1}
    finally:
        sys.modules.pop("model_here", None)


def test_cache_tells_modules_functions_and_rows_apart(workers):
    number, again, other = (in_workers(module="model_here", function=name, cache=True) for name in ("a", "a", "b"))
    assert number([1]).result(60) == again([1]).result(60) == [0]
    assert [number([2]).result(60), other([1]).result(60), again([1]).result(60)] == [[1], [2], [0]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"module": "app1.py"}, "Write module='app1', as in 'import app1'"),
        ({"module": sys}, "by its name; for a function of this script use python_app"),
        ({"module": "app 1"}, "takes the name of a module, not 'app 1'"),
        ({"module": "app1", "function": ""}, "takes the name of a function, not ''"),
        ({"module": "app1", "retries": -1}, "retries"),
        ({"module": "app1", "walltime": "soon"}, "walltime"),
    ],
)
def test_names_and_options_are_refused_at_once(options, words):
    with pytest.raises(ConfigurationError, match=words):
        predict_app(**options)
