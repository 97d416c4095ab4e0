"""The contracts of providers and of dialects on PBS Professional's stand-in, which really runs the jobs."""

import contextlib
import tempfile
from pathlib import Path

import pytest

from cnflow.config import PBSProProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.standins import pbspro
from tests.standins.scheduler import Standin


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-pbs-") as folder:
        started = Standin(Path(folder) / "s", Path(pbspro.__file__), ["qsub", "qstat", "qdel", "qselect"])
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


class TestPBSPro(ProviderContract, ProviderDataContract):
    """A block is a job of one CPU."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999.standin"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return PBSProProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=600)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


class TestJobsOfPBSPro(BatchContract):
    held = pytest.fixture(lambda _: "#PBS -h")
    unknown_job = pytest.fixture(lambda _: NativeId("999999.standin"))
    nodes = pytest.fixture(lambda _: 1)

    @pytest.fixture
    def settings(self, tmp_path):
        return PBSProProvider(site_dir=str(tmp_path / "site"), runtime="none")

    @pytest.fixture
    def scheduler_down(self, standin):
        @contextlib.contextmanager
        def down():
            standin.stop_answering()
            yield
            standin.answer_again()

        return down
