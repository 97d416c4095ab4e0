"""The contracts of providers and of dialects on a real Grid Engine of one node."""

import contextlib

import pytest

from cnflow.config import GridEngineProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.conftest import GRID_ENGINE

pytestmark = pytest.mark.gridengine


@pytest.fixture(autouse=True)
def _site(monkeypatch):
    for name, value in GRID_ENGINE.items():
        monkeypatch.setenv(name, value)


class TestGridEngine(ProviderContract, ProviderDataContract):
    """A block is a job of one slot."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return GridEngineProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=600, queue="all.q")

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.timeout(300)
class TestJobsOfGridEngine(BatchContract):
    held = pytest.fixture(lambda _: "#$ -h")
    unknown_job = pytest.fixture(lambda _: NativeId("999999"))
    nodes = pytest.fixture(lambda _: 1)
    tells_whom = pytest.fixture(lambda _: False)  # Univa's and Altair's qacct names who deleted a job

    @pytest.fixture
    def settings(self, tmp_path):
        return GridEngineProvider(site_dir=str(tmp_path / "site"), runtime="none", queue="all.q")

    @pytest.fixture
    def scheduler_down(self, monkeypatch):
        @contextlib.contextmanager
        def down():
            with monkeypatch.context() as patch:
                patch.setenv("SGE_QMASTER_PORT", "9")
                yield

        return down
