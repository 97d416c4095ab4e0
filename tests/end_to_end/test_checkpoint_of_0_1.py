"""Checkpoints that cnflow 0.1 wrote: every key is computed as it was then, and every value loads.

`tests/data/checkpoint-0.1/cached_calls.py` made them, and says how.
"""

import contextlib
import importlib.util
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config

DATA = Path(__file__).parents[1] / "data" / "checkpoint-0.1"
NAME = "cached_calls"
"""Name of the module when the checkpoints were made, which is part of the keys."""


@pytest.fixture
def checkpoint(tmp_path):
    made = DATA / sys.implementation.cache_tag / "tasks.sqlite"
    if not made.exists():
        pytest.skip(f"No checkpoint of {sys.implementation.cache_tag}. Run {DATA / NAME}.py there with cnflow 0.1.")
    return shutil.copy(made, tmp_path)


@pytest.fixture
def calls(monkeypatch):
    spec = importlib.util.spec_from_file_location(NAME, DATA / f"{NAME}.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, NAME, module)
    spec.loader.exec_module(module)
    yield module
    shutil.rmtree(Path(module.OUTPUT.filepath).parent, ignore_errors=True)


def run(calls, folder, **settings):
    """Make all calls in a run of their own; return the names of the apps that ran, and the results as text."""
    folder.mkdir()
    calls.RAN.clear()
    with cnflow.load(Config(run_dir=str(folder / "runinfo"), cache_files_by="content", **settings)):
        return calls.texts_of(calls.submit_all(folder)), list(calls.RAN)


def test_checkpoint_of_0_1_holds_the_results_of_all_calls(checkpoint, calls, tmp_path):
    loaded, ran = run(calls, tmp_path / "loaded", checkpoint_files=[checkpoint])
    # The one argument whose class has a method of the user's: 0.1 did not see that such a method was edited.
    assert ran == ["returned"]
    fresh, ran = run(calls, tmp_path / "fresh")
    assert loaded == fresh
    with contextlib.closing(sqlite3.connect(checkpoint)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (len(ran),)
