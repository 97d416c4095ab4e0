"""The contracts of providers and of dialects on Cobalt's stand-in, which really runs the jobs."""

import contextlib
import tempfile
from pathlib import Path

import pytest

from cnflow.config import CobaltProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.standins import cobalt
from tests.standins.scheduler import Standin


@pytest.fixture(autouse=True)
def standin(monkeypatch):
    """The stand-in, whose commands come first in PATH."""
    with tempfile.TemporaryDirectory(prefix="cnflow-cobalt-") as folder:
        programs = ["qsub", "qstat", "qdel", "aprun"]
        started = Standin(Path(folder) / "s", Path(cobalt.__file__), programs, minute=3.0)
        monkeypatch.setenv("PATH", str(started.bin), prepend=":")
        yield started
        started.close()


@pytest.mark.long
class TestCobalt(ProviderContract, ProviderDataContract):
    """A block is a job of one node."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return CobaltProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=6000)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.long
class TestJobsOfCobalt(BatchContract):
    """A minute of the stand-in is 3 s long."""

    held = pytest.fixture(lambda _: "#COBALT -h")
    unknown_job = pytest.fixture(lambda _: NativeId("999999"))

    @pytest.fixture
    def settings(self, tmp_path):
        return CobaltProvider(site_dir=str(tmp_path / "site"), runtime="none")

    @pytest.fixture
    def scheduler_down(self, standin):
        @contextlib.contextmanager
        def down():
            standin.stop_answering()
            yield
            standin.answer_again()

        return down
