"""Control of the stand-in of Compute Engine, as `cnflow.testing.contracts.machines.VmContract` wants it."""

import contextlib
import subprocess

from cnflow.config import GoogleCloudProvider
from cnflow.model.machine import MachineRequest, Placement
from cnflow.providers.google.client import ComputeClient
from cnflow.providers.google.cloud import GoogleCloud

FAULTS = {
    "capacity": {"action": "op:insert", "code": "ZONE_RESOURCE_POOL_EXHAUSTED", "status": 503},
    "quota": {"action": "op:insert", "code": "QUOTA_EXCEEDED", "status": 403},
    "throttle": {"action": "POST instances", "status": 403, "reason": "rateLimitExceeded"},
    "credentials": {"action": "POST instances", "status": 401, "reason": "authError"},
    "outage": {"action": "*", "drop": True},
}


def impatient_cloud(settings):
    """Make the cloud of *settings*, which gives a call up after some seconds."""
    return GoogleCloud(settings, lambda settings: ComputeClient(settings, 3.0))


class GceControl:
    """Satisfies `cnflow.testing.contracts.machines.CloudControl`."""

    def __init__(self, gce):
        self.gce = gce

    def running(self):
        there = self.gce.machines("PROVISIONING", "STAGING", "RUNNING", "TERMINATED")  # a deletion takes a moment
        return [f"{one['zone']}/{one['name']}" for one in there]

    def tags(self, machine):
        return self.one(machine)["labels"]

    def one(self, machine):
        return next(one for one in self.gce.machines() if one["name"] == machine.rpartition("/")[2])

    @contextlib.contextmanager
    def faulty(self, fault):
        self.gce.fault(**FAULTS[fault], times=1_000_000)
        yield
        self.gce.control("clear")

    @contextlib.contextmanager
    def losing_answers(self):
        self.gce.fault("POST instances", after=True, drop=True)
        yield
        self.gce.control("clear")

    @contextlib.contextmanager
    def room_for(self, machines):
        self.gce.limit(len(self.gce.machines()) + machines)
        yield
        self.gce.control("clear")

    def halt(self, machine):
        container = self.one(machine)["container"]
        subprocess.run(["docker", "exec", container, "/usr/local/sbin/shutdown", "-h", "now"], check=False)

    def preempt(self, machine):
        self.gce.until_running()
        self.gce.control("preempt", name=machine.rpartition("/")[2], after=1)

    def launch_foreign(self):
        settings = GoogleCloudProvider(endpoint=self.gce.url, service_account=None)
        cloud = impatient_cloud(settings)
        script = "#!/bin/sh\nsleep 600\n"
        placement = Placement("e2-small", "us-central1-a")
        made = cloud.launch(MachineRequest("web-1", "foreign", placement, {"team": "web"}, script))
        cloud.close()
        return made.id
