"""`cnflow explain --cache`: what the keys of a script's apps have, without running its tasks."""

import subprocess
import sys

import pytest

SCRIPT = """
import threading
import cnflow
import helper
from cnflow import python_app

settings, calls, lock = {"k": 1}, [], threading.Lock()

@python_app(cache=True, ignore_for_cache=["verbose"])
def measure(x, verbose=False):
    calls.append(x)
    with lock:
        return helper.scale(x) + settings["k"] + getattr(helper, "FACTOR")

@python_app
def plain(x):
    return x

print("before")
try:
    with cnflow.load():
        print("a task ran", measure(1).result())
except Exception:
    print("the script goes on")
"""


@pytest.fixture
def explain(tmp_path):
    (tmp_path / "sweep.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("FACTOR = 2\ndef scale(x): return x * FACTOR\n")

    def run(target):
        command = [sys.executable, "-m", "cnflow.cli", "explain", "--cache", target]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_each_cached_app_is_explained_and_no_task_is_run(explain, tmp_path):
    done = explain("sweep.py")
    assert done.stdout.splitlines() == [
        "before",
        f"measure ({tmp_path}/sweep.py:9)",
        "  in the key, besides the arguments, the image and the minor version of Python:",
        "    functions: __main__.measure, helper.scale",
        "    modules of yours, of which it reads attributes: helper",
        "    constants: FACTOR",
        "    values, by their content at the call: settings",
        "    not the parameters: verbose",
        "  not in the key:",
        "    values that the function changes itself: calls",
        "    values whose type has no id_for_memo: lock, of type _thread.lock",
        "    names that are computed when it runs: getattr in measure",
        "    files that are no arguments, environment variables, the network, the clock, chance",
    ]
    assert not (tmp_path / "runinfo").exists()


def test_one_app_of_a_module_is_explained_by_name(explain):
    assert explain("sweep:plain").stdout.splitlines()[1].endswith("which has no cache=True")
    done = explain("sweep.py:plane")
    assert done.returncode == 2
    assert "No app is called 'plane'. Did you mean 'plain'?" in done.stderr


def test_a_script_that_fails_before_its_run_shows_its_error(explain, tmp_path):
    (tmp_path / "sweep.py").write_text("1 / 0")
    done = explain("sweep.py")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
