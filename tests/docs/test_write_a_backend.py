"""Runs the provider of the page "Write a backend" through its contract, and tasks through it."""

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def spool_provider(monkeypatch):
    """The example's module, which can be imported as if it were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("spool_provider")
    del sys.modules["spool_provider"]


def test_contract_test_of_the_page_runs_where_both_files_are_copied(tmp_path):
    for name in ("spool_provider.py", "test_spool_provider.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_spool_provider.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@python_app
def where():
    import os

    return os.environ["GREETING"]


def test_spool_provider_runs_tasks(spool_provider, tmp_path):
    provider = spool_provider.SpoolProvider(spool=str(tmp_path / "spool"), environment={"GREETING": "hello"})
    executor = HighThroughputExecutor(provider=provider, max_workers=1)
    with cnflow.load(Config(executors=[executor], run_dir=str(tmp_path / "runs"))):
        assert where().result(60) == "hello"
    assert list((tmp_path / "spool").iterdir()) == []
