"""The user's own modules in worker processes: as in the driver, with its changes; the script is in tests/data."""

import pathlib
import shutil
import subprocess
import sys

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

LABORATORY = pathlib.Path(__file__).parent.parent / "data" / "laboratory"

HELPER = """\
import threading
_lock = threading.Lock()
FACTOR = 2
def scale(x):
    with _lock:
        return x * FACTOR
"""

RELOADS = """
import importlib, os, pathlib, sys
sys.dont_write_bytecode = True
import cnflow, helper
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor

FIRST = pathlib.Path("helper.py").read_text()

def edit(text):
    pathlib.Path("helper.py").write_text(text)

@python_app
def work(x):
    return helper.scale(x), os.getpid()

def checked(x):
    result, pid = work(x).result(60)
    assert result == helper.scale(x), (result, helper.scale(x))
    return result, pid

if __name__ == "__main__":
    with cnflow.load(Config(executors=[HighThroughputExecutor(max_workers=1)], run_dir=sys.argv[1])):
        first, pid = checked(3)
        held = helper.scale
        edit(FIRST.replace("2", "1000"))
        results = [checked(3)]  # edited, and not reloaded
        importlib.reload(helper)
        results.append(checked(3))
        of_before = python_app(held)(3).result(60), held(3)
        edit(FIRST.replace("x * FACTOR", "x + FACTOR"))
        results.append(checked(3))
        importlib.reload(helper)
        results.append(checked(3))
        del sys.modules["helper"]
        edit(FIRST.replace("FACTOR = 2", "FACTOR = 7"))
        import helper
        results.append(checked(3))
        print([first, *(result for result, _ in results)], {pid, *(pid for _, pid in results)} == {pid})
        print(of_before, type(python_app(held)(3).exception(60)).__name__)
"""


def run(folder, *args):
    done = subprocess.run([sys.executable, *args], check=False, cwd=folder, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def laboratory(tmp_path):
    return shutil.copytree(LABORATORY, tmp_path / "laboratory")


def test_tasks_in_processes_have_the_modules_of_the_script_as_threads_have(laboratory, tmp_path):
    by_kind = [run(laboratory, "script.py", kind, str(tmp_path / kind)) for kind in ("threads", "processes")]
    assert by_kind[0] == by_kind[1]
    assert "state (1, 3, False, 0, 1) 10 0\n" in by_kind[0]
    assert "a function 320\n" in by_kind[0]


def test_modules_that_are_reloaded_edited_or_imported_again_run_as_they_are_in_the_driver(tmp_path):
    (tmp_path / "script.py").write_text(RELOADS)
    (tmp_path / "helper.py").write_text(HELPER)
    printed = run(tmp_path, "script.py", str(tmp_path / "runs"))
    assert printed == "[6, 6, 3000, 3000, 5, 21] True\n(3000, 3000) SerializationError\n"


@python_app
def imports_what_is_missing():
    import no_such_package  # noqa: F401 - the import is the test


def test_a_module_that_is_missing_in_a_worker_is_named_with_the_executor_and_what_to_do(tmp_path):
    executor = HighThroughputExecutor(label="few", max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))):
        error = imports_what_is_missing().exception(60)
    assert type(error) is ModuleNotFoundError
    assert error.name == "no_such_package"
    assert "(executor 'few'). Install it there, or" in str(error)
