"""Functions and values cross from each driver's Python to each worker's, and back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.capsule import kinds
from cnflow.errors import PythonMismatchError
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

pytestmark = pytest.mark.pythons
REPOSITORY = Path(__file__).parents[2]
BATTERY = REPOSITORY / "tests" / "data" / "pythons" / "battery.py"
OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
OLDEST = f"{kinds.OLDEST_WORKER[0]}.{kinds.OLDEST_WORKER[1]}"
"""Of workers."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "minor", [*(pytest.param(minor, marks=pytest.mark.long) for minor in ("3.10", "3.11", "3.12")), "3.13"]
)
def test_functions_and_values_of_many_kinds_run_on_every_python(minor, pythons, driver_python, tmp_path):
    others = [other for other in pythons if tuple(map(int, other.split("."))) >= kinds.OLDEST_WORKER]
    workers = [f"{other}={pythons[other]}" for other in others]
    command = [driver_python(minor), "-W", "error", BATTERY, tmp_path, *workers]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.loads(done.stdout) == {other: {} for other in others}


def run(pythons, folder, minor, *calls):
    """Outcomes of *calls*, a function and its arguments each, on workers of the Python *minor*."""
    executor = HighThroughputExecutor(provider=LocalProvider(python=pythons[minor]), max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(folder))):
        futures = [python_app(function)(*args) for function, *args in calls]
        return [future.exception(60) or future.result() for future in futures]


def echo(*values):
    return values


def make_foreign_code(name):
    namespace = {}
    exec(f"def {name}(): return 1", namespace)
    return {"made": [namespace[name]]}


def raise_foreign_code():
    namespace = {}
    exec("class MadeError(Exception):\n    def __str__(self): return 'from ' + self.args[0]", namespace)
    raise namespace["MadeError"]("afar")  # the line that is shown


def script_with(tmp_path, text):
    """A function from the source *text*, as in a script of the user's own."""
    script = tmp_path / "script.py"
    script.write_text(text)
    names = {"__name__": "__main__", "__file__": str(script)}
    exec(compile(text, str(script), "exec", dont_inherit=True), names)
    return names


def test_a_result_with_code_of_another_python_is_refused_by_its_place(pythons, tmp_path):
    other = "3.9" if OWN != "3.9" else "3.10"
    (error,) = run(pythons, tmp_path, other, (make_foreign_code, "there"))
    assert isinstance(error, PythonMismatchError)
    assert "result['made'][0]" in str(error)
    assert f"code of Python {other}, which cannot be loaded on Python {OWN}" in str(error)


def test_an_exception_with_code_of_another_python_keeps_its_words_and_traceback(pythons, tmp_path):
    (error,) = run(pythons, tmp_path, "3.9" if OWN != "3.9" else "3.10", (raise_foreign_code,))
    assert "MadeError: from afar" in str(error)
    assert "the line that is shown" in str(error)


def test_a_value_whose_class_is_not_in_the_workers_python_is_named(pythons, tmp_path):
    zoneinfo = pytest.importorskip("zoneinfo")
    zone = zoneinfo.ZoneInfo("UTC")
    (error,) = run(pythons, tmp_path, OLDEST, (echo, 1, {"when": [zone]}))
    if OLDEST == "3.8":
        assert isinstance(error, ModuleNotFoundError)
        assert "args[1]['when'][0], zoneinfo.ZoneInfo" in str(error)
    else:
        assert error == (1, {"when": [zone]})


def test_arguments_that_cannot_be_unpickled_are_told_where_errors_have_no_notes(pythons, tmp_path):
    (error,) = run(pythons, tmp_path, OLDEST, (echo, int | str))
    assert type(error) is TypeError
    assert str(error).endswith("'type'. Raised in the worker while the arguments of echo were unpickled.")


def test_syntax_that_the_workers_python_does_not_know_is_told_with_both_versions(pythons, tmp_path):
    text = "def kind(x):\n    match x:\n        case 1:\n            return 'one'\n"
    (error,) = run(pythons, tmp_path, OLDEST, (script_with(tmp_path, text)["kind"], 1))
    assert isinstance(error, PythonMismatchError)
    assert f"Python {OLDEST} does not understand the code that Python {OWN} has sent" in str(error)
    assert f"{tmp_path / 'script.py'}, line 2" in str(error)
    assert "match x:" in str(error)


def test_a_file_that_is_edited_while_the_run_goes_on_does_not_change_what_runs(pythons, tmp_path):
    before = script_with(tmp_path, "def rate():\n    return 1\n")["rate"]
    executor = HighThroughputExecutor(provider=LocalProvider(python=pythons[OLDEST]), max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        first = python_app(before)()
        (tmp_path / "script.py").write_text("def rate():\n    return 2\n")
        assert first.result(60) == 1
        assert python_app(before)().result(60) == 1


def test_each_call_runs_with_the_globals_of_its_moment(pythons, tmp_path):
    names = script_with(tmp_path, "RATE = 0\ndef rate():\n    return RATE\n")
    executor = HighThroughputExecutor(provider=LocalProvider(python=pythons[OLDEST]), max_workers=1)
    app = python_app(names["rate"])
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        futures = []
        for number in range(5):
            names["RATE"] = number
            futures.append(app())
        assert [future.result(60) for future in futures] == [0, 1, 2, 3, 4]


def test_large_arguments_reach_workers_of_another_python(pythons, tmp_path):
    content = bytearray(os.urandom(3_000_000))
    names = script_with(tmp_path, "def size(values):\n    return [len(values), values[0], sum(values[-9:])]\n")
    (got,) = run(pythons, tmp_path, OLDEST, (names["size"], content))
    assert got == [len(content), content[0], sum(content[-9:])]


NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()

def cell(text):
    shell.run_cell(text, store_history=True).raise_error()

cell(f"PYTHON, FOLDER = {sys.argv[1]!r}, {sys.argv[2]!r}")
cell('''import dataclasses, math
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider''')
cell('''import os
RATE = 3
def helper(x):
    return math.floor(x * RATE) + len(os.sep)
@python_app
def first(x):
    return helper(x)''')
cell('''@dataclasses.dataclass
class Point:
    x: int = 1
    def moved(self):
        return Point(self.x + 1)
@python_app
def second(point):
    return point.moved()
third = python_app(lambda x: x * RATE)''')
cell('''executor = HighThroughputExecutor(provider=LocalProvider(python=PYTHON), max_workers=1)
run = cnflow.load(Config(executors=[executor], run_dir=FOLDER))''')
cell("print([first(2).result(60), second(Point(4)).result(60) == Point(5), third(2).result(60)])")
cell("def helper(x): return 'new'")
cell("print(first(2).result(60))")
cell("run.cleanup()")
"""


def test_cells_of_a_notebook_run_on_another_python(pythons, tmp_path):
    pytest.importorskip("IPython")
    command = [sys.executable, "-c", NOTEBOOK, pythons[OLDEST], tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "[7, True, 6]\nnew\n", done.stderr
