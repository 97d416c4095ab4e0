"""Workers run on each Python from 3.8, manager and interchange from 3.9, the driver from 3.10."""

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
from cnflow.capsule import Kind, capsule_folder, carrying_kind
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider
from tests.unit.test_shape import reached_from

pytestmark = pytest.mark.pythons
BETWEEN = pytest.mark.long
"""Versions between the oldest and the newest: tests of a release run these, too."""

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


@pytest.mark.parametrize(
    "minor",
    [
        "3.8",
        "3.9",
        pytest.param("3.10", marks=BETWEEN),
        pytest.param("3.11", marks=BETWEEN),
        pytest.param("3.12", marks=BETWEEN),
        "3.13",
    ],
)
def test_workers_run_on_python(minor, pythons, tmp_path):
    provider = LocalProvider(python=pythons[minor])
    config = Config(executors=[HighThroughputExecutor(provider=provider, max_workers=2)], run_dir=str(tmp_path))
    with cnflow.load(config):
        assert factorial(20).result(60) == math.factorial(20)
        assert isinstance(crash(1, 0).exception(60), ZeroDivisionError)
        futures = [version(), factorial(5), version(), factorial(6)]
        assert [future.result(60) for future in futures] == [minor, 120, minor, 720]


@pytest.mark.parametrize(
    "minor",
    [
        "3.9",
        pytest.param("3.10", marks=BETWEEN),
        pytest.param("3.11", marks=BETWEEN),
        pytest.param("3.12", marks=BETWEEN),
        "3.13",
    ],
)
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


@pytest.mark.parametrize("minor", ["3.8", "3.9", "3.13"])
def test_all_that_workers_import_is_imported_by_python(minor, pythons, capsule_cache):
    """Also what a worker imports for few tasks alone, such as staging; without ZeroMQ and msgspec."""
    root = capsule_folder(carrying_kind(), capsule_cache)
    names = sorted(reached_from("cnflow.worker"))
    script = f"""
import importlib, importlib.machinery, sys
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
class FromRoot:
    @staticmethod
    def find_spec(name, *_):
        if name in ("cnflow", "cloudpickle"):
            return importlib.machinery.PathFinder.find_spec(name, [{str(root)!r}])
sys.meta_path.insert(0, FromRoot)
for name in {names!r}:
    if not name.endswith("__main__"):
        importlib.import_module(name)
assert not {{"zmq", "msgspec"}} & sys.modules.keys()
"""
    done = subprocess.run(
        [pythons[minor], "-I", "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "minor",
    [
        pytest.param("3.10", marks=BETWEEN),
        pytest.param("3.11", marks=BETWEEN),
        pytest.param("3.12", marks=BETWEEN),
        "3.13",
    ],
)
def test_driver_runs_on_python(minor, driver_python, tmp_path):
    python = driver_python(minor)
    script = tmp_path / "script.py"
    script.write_text(DRIVER)
    done = subprocess.run([python, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    got = json.loads(done.stdout)
    assert got[0] == minor
    assert got[1::2] == [6, 6]
    assert all("Root cause: ValueError: boom" in line for line in got[2::2])


@pytest.mark.parametrize("kind", [Kind("3.14", "aarch64", "musl"), Kind("3.12", "aarch64", "glibc")])
def test_capsule_for_another_machine_or_c_library_is_downloaded(kind, capsule_cache):
    folder = capsule_folder(kind, capsule_cache)
    [extension] = folder.glob("msgspec/_core*.so")
    assert f"-{kind.machine}-linux-{'musl' if kind.libc == 'musl' else 'gnu'}" in extension.name
    assert (folder / "cnflow" / "manager" / "__main__.py").exists()
