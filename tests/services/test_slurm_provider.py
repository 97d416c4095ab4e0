"""The contract of providers on real Slurm."""

import pytest

from cnflow.config import SlurmProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.conftest import slurm_conf


class SlurmContract(ProviderContract, ProviderDataContract):
    """A block is a job of one shared node."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return SlurmProvider(site_dir=str(tmp_path / "site"), exclusive=False, runtime="none", walltime=600)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.slurm
class TestSlurm(SlurmContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))


@pytest.mark.slurm_accounting
class TestSlurmWithAccounting(SlurmContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm_accounting")))
