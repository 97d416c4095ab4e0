"""The contracts of providers and of dialects on Debian's Torque commands, which drive a real Slurm."""

import contextlib
import os
from pathlib import Path

import pytest

from cnflow.config import TorqueProvider
from cnflow.ids import NativeId
from cnflow.providers.batch.provider import BatchBackend
from cnflow.testing.contracts.batch import BatchContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.conftest import TORQUE

pytestmark = pytest.mark.torque


@pytest.fixture(autouse=True)
def _site(monkeypatch):
    for name, value in TORQUE.items():
        monkeypatch.setenv(name, value)


@pytest.mark.long
class TestTorque(ProviderContract, ProviderDataContract):
    """A block is a job of one CPU."""

    refused_image = pytest.fixture(lambda _: "app1:0.1")
    unknown_block = pytest.fixture(lambda _: NativeId("999999"))
    submit_limit = pytest.fixture(lambda _: 20.0)

    @pytest.fixture
    def settings(self, tmp_path):
        return TorqueProvider(site_dir=str(tmp_path / "site"), runtime="none", walltime=600)

    @pytest.fixture
    def traits(self, settings):
        return settings.traits()

    @pytest.fixture
    def make_provider(self, settings):
        return lambda environment: BatchBackend(settings.model_copy(update={"environment": dict(environment)}))


@pytest.mark.timeout(300)
class TestJobsOfTorque(BatchContract):
    held = pytest.fixture(lambda _: "#PBS -h")
    unknown_job = pytest.fixture(lambda _: NativeId("999999"))
    nodes = pytest.fixture(lambda _: 1)
    # The commands for Slurm print no exit status: it is what jobs record themselves, if they have the time.
    shortest_walltime = pytest.fixture(lambda _: None)
    tells_whom = pytest.fixture(lambda _: False)

    @pytest.fixture
    def settings(self, tmp_path):
        return TorqueProvider(site_dir=str(tmp_path / "site"), runtime="none")

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
