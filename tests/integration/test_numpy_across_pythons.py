"""Arrays cross between NumPy 2 in the driver and NumPy 1 in workers, whose modules have other names."""

import subprocess

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.executors import HighThroughputExecutor
from cnflow.providers import LocalProvider

np = pytest.importorskip("numpy", minversion="2.0")
pytestmark = pytest.mark.pythons


@python_app
def changed(small, large, number, date, objects):
    import numpy as np

    large *= 2  # it is writable
    return np.__version__, small + 1, large, number / 2, date, objects, small.dtype


@pytest.mark.timeout(300)
def test_arrays_cross_between_numpy_2_and_numpy_1(pythons, tmp_path):
    packages = tmp_path / "packages"
    install = [pythons["3.9"], "-m", "pip", "install", "-q", "--no-compile", "--target", packages, "numpy==1.24.4"]
    subprocess.run(install, check=True)
    provider = LocalProvider(python=pythons["3.9"], worker_init=f"export PYTHONPATH={packages}")
    config = Config(executors=[HighThroughputExecutor(provider=provider, max_workers=1)], run_dir=str(tmp_path))
    with cnflow.load(config):
        large = np.ones((400, 400))  # travels beside the pickle
        sent = np.arange(5), large, np.float64(3), np.datetime64("2024-02-29"), np.array(["a", None], dtype=object)
        version, small, doubled, half, date, objects, dtype = changed(*sent).result(60)
    assert version == "1.24.4"
    assert (small.tolist(), half, objects.tolist()) == ([1, 2, 3, 4, 5], 1.5, ["a", None])
    assert (date, dtype) == (sent[3], sent[0].dtype)
    assert float(doubled.sum()) == 2 * 400 * 400
    assert float(large.sum()) == 400 * 400
