"""The contract of providers on real Slurm."""

import contextlib
import os
from pathlib import Path

import pytest

from cnflow.config import SlurmProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
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


class SlurmBatchContract(BatchContract):
    held = pytest.fixture(lambda _: "#SBATCH --begin=now+1hour")
    unknown_job = pytest.fixture(lambda _: NativeId("999999"))
    shortest_walltime = pytest.fixture(lambda _: 60.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return SlurmProvider(site_dir=str(tmp_path / "site"), exclusive=False, runtime="none")

    @pytest.fixture
    def scheduler_down(self, tmp_path, monkeypatch):
        @contextlib.contextmanager
        def down():
            lines = Path(os.environ["SLURM_CONF"]).read_text().splitlines()
            nowhere = ["SlurmctldPort=9" if line.startswith("SlurmctldPort=") else line for line in lines]
            (tmp_path / "slurm.conf").write_text("\n".join([*nowhere, "MessageTimeout=2", ""]))
            with monkeypatch.context() as patch:
                patch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
                yield

        return down


@pytest.mark.slurm
@pytest.mark.timeout(300)
class TestJobsOfSlurm(SlurmBatchContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))


@pytest.mark.slurm_accounting
@pytest.mark.timeout(300)
class TestJobsOfSlurmWithAccounting(SlurmBatchContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm_accounting")))
