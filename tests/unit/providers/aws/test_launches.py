"""Machines of EC2 that it does not know yet, or knows by another request; its API is a table here."""

from types import SimpleNamespace

import pytest

from cnflow.config import EC2Provider
from cnflow.errors import BlockRejectedError
from cnflow.model.machine import MachineRequest, Placement
from cnflow.providers._shared.machines.tags import EXPIRES, RUN
from cnflow.providers.aws.cloud import EC2Cloud
from cnflow.providers.aws.requests import AMI, Site

REQUEST = MachineRequest("a-0", "token", Placement("m5.large"), {RUN: "r1", EXPIRES: "1000"}, "#!/bin/sh\n")
INSTANCE = {"InstanceId": "i-1", "State": {"Name": "pending"}}


class Api:
    """Answers by the names of operations; a text is the code of a refusal."""

    where, region = "EC2", "us-east-1"

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    def call(self, operation, arguments):
        self.asked.append((operation, arguments))
        answer = self.answers[operation]
        if isinstance(answer, str):
            cause = Exception(answer)
            cause.response = {"Error": {"Code": answer}}
            raise BlockRejectedError(answer) from cause
        return answer

    def pages(self, operation, arguments, _key):
        return self.call(operation, arguments)


@pytest.fixture
def make_cloud():
    def make(**answers):
        made = EC2Cloud(EC2Provider(region="us-east-1"), Api(**answers))
        made._image = AMI("ami-1")
        made._site = Site(made._image)
        return made

    return make


def test_machine_that_ec2_does_not_know_yet_is_not_taken_for_gone(make_cloud, monkeypatch):
    cloud = make_cloud(run_instances={"Instances": [INSTANCE]}, terminate_instances="InvalidInstanceID.NotFound")
    assert cloud.launch(REQUEST).id == "i-1"
    assert cloud.terminate(["i-1", "i-2"]) == {"i-1": "InvalidInstanceID.NotFound"}
    later = SimpleNamespace(monotonic=lambda: 1e9)
    monkeypatch.setattr("cnflow.providers.aws.cloud.time", later)
    assert cloud.terminate(["i-1"]) == {}


def test_machine_of_a_token_that_was_used_is_found_though_its_expiry_is_another(make_cloud):
    cloud = make_cloud(run_instances="IdempotentParameterMismatch", describe_instances=[{"Instances": [INSTANCE]}])
    assert cloud.launch(REQUEST).id == "i-1"
    [(_, asked)] = [one for one in cloud._aws.asked if one[0] == "describe_instances"]
    assert [each["Name"] for each in asked["Filters"]] == [f"tag:{RUN}"]
