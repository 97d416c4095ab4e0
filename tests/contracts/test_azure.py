"""The shipped contracts on Azure's provider: the real SDK against a server in memory; Azure itself was never asked."""

import contextlib
import time

import pytest
from azure.core.credentials import AccessToken

from cnflow.config import AzureProvider
from cnflow.ids import NativeId
from cnflow.providers.azure import client as client_module
from cnflow.providers.azure.provider import AzureBackend
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.contracts.machines import VmContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from cnflow.testing.machines import can_play
from cnflow.units import Seconds
from tests.services.azure.server import AzureServer
from tests.services.openstack.played import PlayedMachines

pytestmark = pytest.mark.skipif(not can_play(), reason="unshare --pid is not allowed here")


class QuickProvider(AzureProvider):
    """The provider, asked more often."""

    def traits(self):
        return super().traits()._replace(poll_period=Seconds(0.1), status_lag=Seconds(0.5), submits_per_second=100.0)


def settings(endpoint="http://127.0.0.1:1", **options):
    fixed = {"subscription_id": "s1", "subnet": "net/default", "image_id": "a:b:c:latest", "is_in_cloud": True}
    types = {"instance_types": ["Standard_D2s_v4"], "price_per_hour": 0.1}
    return QuickProvider(endpoint=endpoint, **fixed, **types, **options)


class Login:
    """A credential without a service behind it."""

    token = "valid"

    def get_token(self, *_, **__):
        return AccessToken(Login.token, int(time.time()) + 3600)


class Control:
    """The server from its other side."""

    def __init__(self, server):
        self.server = server

    def running(self):
        return list(self.server.known)

    def tags(self, machine):
        return self.server.known[machine]["tags"]

    @contextlib.contextmanager
    def faulty(self, fault):
        server = self.server
        if fault == "capacity":
            server.room = 0
        elif fault == "quota":
            server.quota = 0
        elif fault == "throttle":
            server.refused = 429
        elif fault == "credentials":
            server.refused = 401
        else:
            server.is_down = True
        try:
            yield
        finally:
            server.room = server.quota = None
            server.refused = server.is_down = False

    @contextlib.contextmanager
    def losing_answers(self):
        self.server.is_losing = True
        yield
        self.server.is_losing = False

    @contextlib.contextmanager
    def room_for(self, machines):
        self.server.room = machines
        yield
        self.server.room = None

    def halt(self, machine):
        self.server.halt(machine)

    def launch_foreign(self):
        body = {"tags": {"project": "x"}, "properties": {"osProfile": {"customData": ""}}}
        self.server.put("theirs", body, is_new=True)
        return "theirs"


class TestAzure(ProviderContract, ProviderDataContract, VmContract):
    refused_image = pytest.fixture(lambda _: "app1.sif")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-no-such-block"))
    traits = pytest.fixture(lambda _: settings().traits())
    has_preemption = False

    @pytest.fixture
    def server(self, tmp_path, monkeypatch):
        monkeypatch.setattr(client_module, "RETRIES", 1)
        monkeypatch.setattr(client_module, "DefaultAzureCredential", Login)
        with AzureServer(PlayedMachines(tmp_path / "machines")) as server:
            yield server

    @pytest.fixture
    def control(self, server):
        return Control(server)

    @pytest.fixture
    def make_provider(self, server):
        return lambda environment: AzureBackend(
            settings(server.address, environment=dict(environment)), make_boot_site=DirectBootSite
        )
