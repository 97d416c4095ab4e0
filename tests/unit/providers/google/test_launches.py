"""Launches and ends of Compute Engine's machines where answers are lost, late or refused; its API is a table here."""

import pytest

from cnflow.config import GoogleCloudProvider
from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError
from cnflow.model.machine import MachineRequest, MachineState, Placement
from cnflow.providers._shared.machines.tags import EXPIRES, OWNER, RUN
from cnflow.providers.google.client import ComputeClient
from cnflow.providers.google.cloud import GoogleCloud
from cnflow.providers.google.errors import CallFailedError, Failure

ZONE = "us-central1-a"
TAGS = {RUN: "r1", OWNER: "me", EXPIRES: "1000"}
REQUEST = MachineRequest("a-0", "token", Placement("e2-small", ZONE), TAGS, "#!/bin/sh\n")
THROTTLED, UNREACHED = Failure("rateLimitExceeded", "slow down", 403), Failure("", "no route")


class Api:
    """Answers by the names of methods; an exception is raised."""

    project = "p"

    def __init__(self, **answers):
        self.answers = {"insert_unary": {"name": "operation-1", "zone": ZONE}, "aggregated_list": [], **answers}
        self.called = []

    def call(self, _doing, _client, method, **_request):
        self.called.append(method)
        answer = self.answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, doing, client, method, **request):
        return self.call(doing, client, method, **request)

    def finish(self, doing, operation):
        return {**operation, **self.call(doing, "ZoneOperationsClient", "wait")}


def instance(status="RUNNING", **changes):
    own = {"name": "a-0", "zone": ZONE, "status": status, "labels": {**TAGS, EXPIRES: "2000"}, "id": "17"}
    return {**own, "serviceAccounts": [{"email": "vm@example.org"}], **changes}


def cloud(**answers):
    api = Api(**answers)
    return GoogleCloud(GoogleCloudProvider(zones=[ZONE]), lambda _settings: api), api


@pytest.mark.parametrize("failure", [THROTTLED, Failure("forbidden", "no right", 403), UNREACHED])
def test_what_fails_after_an_accepted_insertion_leaves_open_whether_the_machine_runs(failure):
    made, _ = cloud(wait=CallFailedError(failure))
    with pytest.raises(BlockError, match="not known") as caught:
        made.launch(REQUEST)
    assert type(caught.value) is BlockError


def test_name_of_the_same_machine_is_no_conflict_though_its_expiry_is_another():
    taken = CallFailedError(Failure("alreadyExists", "it is there", 409))
    assert cloud(insert_unary=taken, get=instance())[0].launch(REQUEST).id == f"{ZONE}/a-0"
    with pytest.raises(BlockRejectedError, match="not of this run"):
        cloud(insert_unary=taken, get=instance(labels={"team": "web"}))[0].launch(REQUEST)


def test_name_of_a_machine_that_is_going_is_waited_for():
    taken = CallFailedError(Failure("alreadyExists", "it is there", 409))
    made, _ = cloud(insert_unary=taken, get=instance("STOPPING"), list=[])
    with pytest.raises(ProviderBusyError, match="has not gone yet"):
        made.launch(REQUEST)


def test_reason_of_an_end_is_asked_for_once():
    deleted = {"operationType": "delete", "user": "vm@example.org", "insertTime": "2026-11-01T09:00:00Z"}
    made, api = cloud(aggregated_list=[instance("STOPPING")], list=[deleted])
    for _ in range(3):
        [machine] = made.list({RUN: "r1"})
        assert (machine.state, machine.cause) == (MachineState.STOPPING, None)
        assert machine.reason == "the machine deleted itself"
    assert api.called.count("list") == 1


def test_throttled_attempt_does_not_hide_one_without_an_answer():
    failures = [UNREACHED, THROTTLED, THROTTLED]
    client = ComputeClient(GoogleCloudProvider(), patience=0.9)

    def attempt():
        raise CallFailedError(failures.pop(0) if failures else THROTTLED)

    with pytest.raises(BlockError, match="no route") as caught:
        client._persist("start a-0", attempt)
    assert type(caught.value) is BlockError
