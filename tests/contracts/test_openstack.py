"""The shipped contracts on OpenStack's provider: the real SDK, the stand-in's services, machines that run user data."""

import base64
import contextlib

import pytest

from cnflow.config import OpenStackProvider
from cnflow.ids import NativeId
from cnflow.providers.openstack import client as client_module
from cnflow.providers.openstack.provider import OpenStackBackend
from cnflow.testing.boot_sites import DirectBootSite
from cnflow.testing.contracts.machines import VmContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from cnflow.testing.machines import can_play
from cnflow.units import Seconds
from tests.services.openstack.played import PlayedMachines
from tests.services.openstack.server import Fault, OpenStackServer

pytestmark = pytest.mark.skipif(not can_play(), reason="unshare --pid is not allowed here")

OFTEN = 10**6


class QuickProvider(OpenStackProvider):
    """The provider, asked more often."""

    def traits(self):
        return super().traits()._replace(poll_period=Seconds(0.1), status_lag=Seconds(0.5), submits_per_second=100.0)


def settings(**options):
    return QuickProvider(image_id="Debian 12", price_per_hour=0.1, is_in_cloud=True, **options)


class Control:
    """The stand-in from its other side."""

    def __init__(self, server):
        self.server, self.nova = server, server.nova

    def running(self):
        return list(self.nova.servers)

    def tags(self, machine):
        return self.nova.servers[machine]["shown"]["metadata"]

    @contextlib.contextmanager
    def faulty(self, fault):
        zones, limits = dict(self.nova.zones), dict(self.nova.limits)
        if fault == "capacity":
            self.nova.room = 0
        elif fault == "quota":
            self.nova.limits["maxTotalInstances"] = 0
        elif fault == "throttle":
            self.server.faults.append(Fault("POST", r"/servers$", 429, "Too many requests", times=OFTEN))
        elif fault == "credentials":
            self.server.expire_tokens()
            self.server.faults.append(Fault("POST", "/auth/tokens", 401, "requires authentication", times=OFTEN))
        else:
            self.server.is_down = True
        try:
            yield
        finally:
            self.server.is_down = False
            self.server.faults.clear()
            self.nova.zones, self.nova.limits = zones, limits

    @contextlib.contextmanager
    def losing_answers(self):
        self.server.faults.append(Fault("POST", r"/servers$", is_late=True))
        yield
        self.server.faults.clear()

    @contextlib.contextmanager
    def room_for(self, machines):
        self.nova.room = machines
        yield
        self.nova.room = None

    def halt(self, machine):
        self.nova.halt(machine)

    def launch_foreign(self):
        user_data = base64.b64encode(b"#!/bin/sh\n").decode()
        common = {"imageRef": "image-1", "flavorRef": "f-m1.tiny", "networks": "auto", "user_data": user_data}
        made = self.nova.create({"name": "theirs", "metadata": {"project": "x"}, "tags": ["x"], **common})
        return made["id"]


class TestOpenStack(ProviderContract, ProviderDataContract, VmContract):
    refused_image = pytest.fixture(lambda _: "app1.sif")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-no-such-block"))
    traits = pytest.fixture(lambda _: settings().traits())
    has_preemption = False

    @pytest.fixture
    def server(self, tmp_path, monkeypatch):
        monkeypatch.setattr(client_module, "_RETRIES", 1)
        with OpenStackServer(machines=PlayedMachines(tmp_path / "machines")) as server:
            for name, value in server.variables().items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nonexistent")
            yield server

    @pytest.fixture
    def control(self, server):
        return Control(server)

    @pytest.fixture
    def make_provider(self, server):
        return lambda environment: OpenStackBackend(
            settings(environment=dict(environment)), make_boot_site=DirectBootSite
        )
