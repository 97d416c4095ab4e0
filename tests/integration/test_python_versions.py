"""Manager, worker and interchange run on each Python from 3.9, the driver on each from 3.10."""

import json
import math
import operator
import os
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, bash_app, python_app
from cnflow.capsule import Kind, capsule_folder
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

pytestmark = pytest.mark.pythons
REPOSITORY = Path(__file__).parents[2]

# Functions of modules that are installed everywhere are pickled by name, and any Python can run them.
factorial = python_app(math.factorial)
crash = python_app(operator.truediv)


@python_app
def version():

    return f"{sys.version_info[0]}.{sys.version_info[1]}"


@bash_app
def shell():
    return "exit 3"


@pytest.mark.parametrize("minor", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_manager_and_worker_run_on_python(minor, pythons, tmp_path):
    provider = LocalProvider(python=pythons[minor])
    config = Config(executors=[HighThroughputExecutor(provider=provider, max_workers=2)], run_dir=str(tmp_path))
    with cnflow.load(config):
        assert factorial(20).result(60) == math.factorial(20)
        assert isinstance(crash(1, 0).exception(60), ZeroDivisionError)
        futures = [version(), factorial(5), version(), factorial(6)]
        assert [future.result(60) for future in futures] == [minor, 120, minor, 720]


@pytest.mark.parametrize("minor", ["3.9", "3.10", "3.11", "3.12", "3.13"])
def test_interchange_runs_on_python_from_a_capsule(minor, pythons, tmp_path, capsule_cache):
    capsule = capsule_folder(Kind(minor, os.uname().machine, "glibc"), capsule_cache)
    main = capsule / "cnflow" / "interchange" / "__main__.py"
    command = [pythons[minor], "-I", "-W", "error", str(main), "--attach", str(tmp_path / "elsewhere")]
    executor = HighThroughputExecutor(address="127.0.0.1", interchange_command=command, max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path))) as dfk:
        futures = [factorial(n) for n in range(10)]
        assert [future.result(60) for future in futures] == [math.factorial(n) for n in range(10)]
        futures[3].cancel()
        assert dfk.executors["htex"].connected_managers()[0]["worker_count"] == 1


DRIVER = """
import json, sys
import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor, ThreadPoolExecutor

@python_app
def add(a, b):
    return a + b

@python_app
def fail():
    raise ValueError("boom")

if __name__ == "__main__":
    seen = []
    for executor in (ThreadPoolExecutor(), HighThroughputExecutor(max_workers=1)):
        with cnflow.load(Config(executors=[executor])):
            seen.append(add(add(1, 2), b=3).result(60))
            seen.append(str(add(fail(), 1).exception(60)).splitlines()[0])
    print(json.dumps([f"{sys.version_info[0]}.{sys.version_info[1]}", *seen]))
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("minor", ["3.10", "3.11", "3.12", "3.13"])
def test_driver_runs_on_python(minor, pythons, tmp_path):
    python = _venv(pythons[minor], tmp_path / "venv")
    script = tmp_path / "script.py"
    script.write_text(DRIVER)
    done = subprocess.run([python, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    got = json.loads(done.stdout)
    assert got[0] == minor
    assert got[1::2] == [6, 6]
    assert all("Root cause: ValueError: boom" in line for line in got[2::2])


def _venv(python, folder):
    subprocess.run([python, "-m", "venv", folder], check=True)
    own = folder / "bin" / "python"
    subprocess.run([own, "-m", "pip", "install", "-q", REPOSITORY], check=True)
    return own
