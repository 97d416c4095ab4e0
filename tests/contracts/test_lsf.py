"""The contract of providers on LSF's stand-in, which really runs the jobs."""

import tempfile
from pathlib import Path

import pytest

from cnflow.config import LSFProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.standins import lsf
from tests.standins.scheduler import Standin


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-lsf-") as folder:
        started = Standin(Path(folder) / "s", Path(lsf.__file__), ["bsub", "bjobs", "bkill", "bhist"])
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


class TestLSF(ProviderContract, ProviderDataContract):
    """A block is a job of one node."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return LSFProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=600)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))
