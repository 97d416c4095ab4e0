"""The shipped contract on machines of a fake cloud, played by processes that run their user data."""

import pytest

from cnflow.ids import NativeId
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.clouds import REGIONS, FakeControl, FakeMachineBackend, FakeMachineProvider, FakeRegion
from cnflow.testing.contracts.machines import VmContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from cnflow.testing.machines import ProcessPlayer, can_play

pytestmark = pytest.mark.skipif(not can_play(), reason="unshare --pid is not allowed here")


class TestFakeCloud(ProviderContract, ProviderDataContract, VmContract):
    refused_image = pytest.fixture(lambda _: "app1.sif")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-no-such-block"))
    traits = pytest.fixture(lambda _: FakeMachineProvider().traits())

    @pytest.fixture
    def region(self, tmp_path):
        region = FakeRegion(player=ProcessPlayer(tmp_path / "machines"))
        yield region
        region.close()

    @pytest.fixture
    def control(self, region):
        return FakeControl(region)

    @pytest.fixture
    def make_provider(self, region, tmp_path):
        REGIONS[str(tmp_path)] = (region, DirectBootSite)
        return lambda environment: FakeMachineBackend(
            FakeMachineProvider(region=str(tmp_path), environment=dict(environment))
        )


@pytest.mark.long
class TestFakeCloudThatKeepsMachines(TestFakeCloud):
    """As OpenStack and Google do: a machine that has shut down holds its disk and its quota."""

    @pytest.fixture
    def region(self, tmp_path):
        region = FakeRegion(player=ProcessPlayer(tmp_path / "machines"), keeps_ended=True)
        yield region
        region.close()
