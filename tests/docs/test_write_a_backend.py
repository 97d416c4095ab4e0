"""Runs the provider of the page "Write a backend" through its contract, and tasks through it."""

import importlib
import sys
from pathlib import Path

import pytest

import cnflow
from cnflow import Config, python_app
from cnflow.config import HighThroughputExecutor
from cnflow.ids import NativeId
from cnflow.testing.contracts.provider import ProviderContract

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def spool_provider(monkeypatch):
    """The example's module, which can be imported as if it were installed."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("spool_provider")
    del sys.modules["spool_provider"]


class TestSpoolProvider(ProviderContract):
    @pytest.fixture
    def make_settings(self, spool_provider, tmp_path):
        return lambda environment: spool_provider.SpoolProvider(
            spool=str(tmp_path / "spool"), environment=dict(environment)
        )

    @pytest.fixture
    def make_provider(self, spool_provider, make_settings):
        return lambda environment: spool_provider.SpoolBackend(make_settings(environment))

    @pytest.fixture
    def traits(self, make_settings):
        return make_settings({}).traits()

    @pytest.fixture
    def refused_image(self):
        return "python:3.12"

    @pytest.fixture
    def unknown_block(self):
        return NativeId("cnflow-no-such-job")


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
