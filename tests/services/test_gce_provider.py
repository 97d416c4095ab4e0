"""Blocks on machines of the stand-in of Compute Engine: cnflow's own boot, in containers with their own network."""

import pytest

from cnflow.config import GoogleCloudProvider
from cnflow.ids import NativeId
from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.providers._shared.machines.boot_site import BootServerSite
from cnflow.testing.contracts.machines import VmContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.services.gce_cloud import gce_address
from tests.services.gce_control import GceControl, impatient_cloud

pytestmark = [pytest.mark.gce, pytest.mark.long, pytest.mark.timeout(300)]


def boot_site(settings, place):
    """The usual one, at the address of this host in the machines' network; requests of the contract name none."""
    return BootServerSite(settings, place._replace(hosts=(gce_address()[0],)))


class TestComputeEngine(ProviderContract, ProviderDataContract, VmContract):
    refused_image = pytest.fixture(lambda _: "app1.sif")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-no-such-block"))
    traits = pytest.fixture(lambda _: GoogleCloudProvider().traits())
    patience = pytest.fixture(lambda _: 120.0)
    submit_limit = pytest.fixture(lambda _: 60.0)

    @pytest.fixture
    def control(self, gce):
        return GceControl(gce)

    @pytest.fixture
    def make_provider(self, gce):
        def make(environment):
            settings = GoogleCloudProvider(
                endpoint=gce.url,
                instance_types=["e2-standard-2"],
                zones=["us-central1-a"],
                environment=dict(environment),
            )
            return MachineBackend(settings, impatient_cloud, make_boot_site=boot_site)

        return make
