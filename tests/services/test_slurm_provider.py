"""The contract of providers on real Slurm."""

import contextlib
import os
from pathlib import Path

import pytest

from cnflow.channels.local import LocalBackend
from cnflow.config import SlurmProvider
from cnflow.config.channels import LocalChannel
from cnflow.ids import NativeId
from cnflow.model.node_command import NodeCommand
from cnflow.model.traits import LogsVia
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


@pytest.mark.long
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


@pytest.mark.long
@pytest.mark.slurm_accounting
@pytest.mark.timeout(300)
class TestJobsOfSlurmWithAccounting(SlurmBatchContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm_accounting")))


class Elsewhere(LocalBackend):
    """Stands for a login node: its commands run here, and its files are not those of the script."""

    name = "login.site.example"
    is_local = False


@pytest.mark.long
@pytest.mark.slurm
class TestSlurmOfALoginNode(SlurmContract):
    @pytest.fixture(autouse=True)
    def _site(self, monkeypatch):
        monkeypatch.setenv("SLURM_CONF", str(slurm_conf("slurm")))

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()._replace(logs=LogsVia.ON_REQUEST)

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(
            settings.model_copy(update={"environment": dict(environment)}), channel=Elsewhere(LocalChannel())
        )

    def test_output_and_keys_of_a_job_that_is_over(self, make_provider, make_request, wait_until, tmp_path):
        provider, request = make_provider({}), make_request(command=NodeCommand(("echo", "good \N{SNOWMAN} bye")))
        native = provider.submit([request])[request.block]
        wait_until(lambda: provider.status([native])[native].state.is_final)
        assert request.log_file.read_text() == "good \N{SNOWMAN} bye\n"
        assert not list((tmp_path / "site").rglob("*.settings.*"))
        provider.close()
