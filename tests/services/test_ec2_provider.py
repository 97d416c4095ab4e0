"""The contracts of providers, and of machines, on the stand-in of EC2: cnflow's own boot, in containers."""

import contextlib
import subprocess

import pytest

from cnflow.config import EC2Provider
from cnflow.ids import NativeId
from cnflow.model.machine import MachineRequest
from cnflow.providers._shared.machines.backend import MachineBackend
from cnflow.providers._shared.machines.boot_site import BootServerSite
from cnflow.providers.aws.client import AWS
from cnflow.providers.aws.cloud import EC2Cloud
from cnflow.testing.contracts.machines import VmContract
from cnflow.testing.contracts.provider import ProviderContract
from cnflow.testing.contracts.provider_data import ProviderDataContract
from tests.services.ec2_cloud import IMAGE, ec2_places

pytestmark = [pytest.mark.ec2, pytest.mark.timeout(300)]

FAULTS = {
    "quota": {"action": "RunInstances", "code": "VcpuLimitExceeded"},
    "throttle": {"action": "RunInstances", "code": "RequestLimitExceeded", "status": 503},
    "credentials": {"action": "RunInstances", "code": "AuthFailure", "status": 401},
    "outage": {"drop": True},
}


def boot_site(settings, place):
    """The usual one, at the address of this host in the machines' network; requests of the contract name none."""
    gateway = ec2_places()["subnet"].rsplit(".", 1)[0] + ".1"
    return BootServerSite(settings, place._replace(hosts=(gateway,)))


def impatient_cloud(settings):
    """The cloud of *settings*, which gives a call up after two attempts."""
    return EC2Cloud(settings, AWS(settings.region, settings.profile, attempts=2))


def settings(**options):
    return EC2Provider(image_id=IMAGE, instance_types=["t3.micro"], zones=["us-east-1a"], **options)


class Control:
    """Satisfies `cnflow.testing.contracts.machines.CloudControl`."""

    def __init__(self, ec2):
        self.ec2 = ec2

    def running(self):
        return [one["id"] for one in self.ec2.machines("pending", "running", "stopped")]

    def one(self, machine):
        return next(one for one in self.ec2.machines() if one["id"] == machine)

    def tags(self, machine):
        return self.one(machine)["tags"]

    @contextlib.contextmanager
    def faulty(self, fault):
        if fault == "capacity":
            self.ec2.limit(0)
        else:
            self.ec2.fault(**FAULTS[fault], times=10**6)
        yield
        self.ec2.clear()

    @contextlib.contextmanager
    def losing_answers(self):
        self.ec2.fault("RunInstances", after=True)
        yield
        self.ec2.clear()

    @contextlib.contextmanager
    def room_for(self, machines):
        self.ec2.limit(len(self.running()) + machines)
        yield
        self.ec2.clear()

    def halt(self, machine):
        halt = ("/usr/local/sbin/shutdown", "-h", "now")
        subprocess.run(["docker", "exec", self.one(machine)["container"], *halt], check=False, capture_output=True)

    def preempt(self, machine):
        self.ec2.until(lambda: self.one(machine)["container"])
        self.ec2.control("interrupt", id=machine, after=1)

    def launch_foreign(self):
        cloud = impatient_cloud(settings())
        tags, script = {"team": "web"}, "#!/bin/sh\nsleep 600\n"
        made = cloud.launch(MachineRequest("web-1", "foreign", cloud.placements()[0], tags, script))
        cloud.close()
        return made.id


class TestEC2(ProviderContract, ProviderDataContract, VmContract):
    refused_image = pytest.fixture(lambda _: "app1.sif")
    unknown_block = pytest.fixture(lambda _: NativeId("cnflow-no-such-block"))
    traits = pytest.fixture(lambda _: EC2Provider().traits())
    patience = pytest.fixture(lambda _: 120.0)
    submit_limit = pytest.fixture(lambda _: 60.0)

    @pytest.fixture
    def control(self, ec2):
        return Control(ec2)

    @pytest.fixture
    def make_provider(self, ec2):
        def make(environment):
            return MachineBackend(settings(environment=dict(environment)), impatient_cloud, make_boot_site=boot_site)

        return make
