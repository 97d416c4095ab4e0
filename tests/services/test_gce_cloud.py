"""Calls of Compute Engine by the real SDK, answered by a stand-in with machines that run."""

import time
import uuid

import pytest

from cnflow.config import GoogleCloudProvider
from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.block import EndCause
from cnflow.model.finding import Verdict
from cnflow.model.machine import MachineRequest, MachineState
from cnflow.providers._shared.machines.tags import OWNER
from cnflow.providers.google.client import ComputeClient
from cnflow.providers.google.cloud import GoogleCloud

pytestmark = [pytest.mark.gce, pytest.mark.timeout(240)]
STAYS = "#!/bin/sh\necho hello from $(id -un)\nsleep 600\n"
PATIENCE = 4.0


@pytest.fixture
def cloud(gce):
    made = []

    def make(**options):
        usual = {"endpoint": gce.url, "instance_types": ["e2-small"], "zones": ["us-central1-a"]}
        settings = GoogleCloudProvider(**{**usual, **options})
        made.append(GoogleCloud(settings, lambda settings: ComputeClient(settings, PATIENCE)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def run():
    return {"cnflow-run": uuid.uuid4().hex, OWNER: "me"}


def request(made, tags, number=0, placement=None, **options):
    name = f"cnflow-{tags['cnflow-run'][:8]}-{number}"
    asked = {"user_data": STAYS, "token": f"{name}-token", **options}
    return MachineRequest(name=name, placement=placement or made.placements()[0], tags=tags, **asked)


def test_machine_lives_from_launch_to_end(gce, cloud, run):
    made = cloud()
    made.prepare(run)
    machine = made.launch(request(made, run))
    assert machine.placement[:2] == ("e2-small", "us-central1-a")
    gce.until_running()
    (listed,) = made.list(run)
    assert (listed.id, listed.state) == (machine.id, MachineState.RUNNING)
    assert listed.private_address.startswith("10.82.")
    assert listed.public_address == listed.private_address  # of the stand-in's machines
    assert abs(listed.launched_at - time.time()) < 60
    gce.until(lambda: b"hello from root" in made.console(machine.id))
    assert made.terminate([machine.id, "us-central1-a/cnflow-nobody"]) == {}
    gce.until(lambda: not gce.machines())
    assert made.list(run) == []
    assert made.console(machine.id) == b""


def test_repeated_launch_returns_the_same_machine(gce, cloud, run):
    made = cloud()
    asked = request(made, run)
    assert made.launch(asked).id == made.launch(asked).id == cloud().launch(asked).id
    assert len(gce.machines()) == 1


def test_lost_reply_starts_one_machine(gce, cloud, run):
    gce.fault("POST instances", after=True, drop=True)
    made = cloud()
    made.launch(request(made, run))
    assert gce.calls("POST instances") == 2
    assert len(gce.machines()) == 1


def test_name_of_another_run_is_refused(gce, cloud, run):
    made = cloud()
    first = request(made, run)
    made.launch(first)
    stranger = MachineRequest(first.name, "another", first.placement, {"cnflow-run": "another", OWNER: "me"}, STAYS)
    with pytest.raises(BlockRejectedError, match="another machine of the name"):
        made.launch(stranger)


def test_zone_without_room_is_passed_on_to_the_next(gce, cloud, run):
    made = cloud(zones=["us-central1-b", "us-central1-a"])
    gce.limit(0, zone="us-central1-b")
    first, second = made.placements()
    with pytest.raises(NoCapacityError, match=r"does not have enough resources.*ZONE_RESOURCE_POOL_EXHAUSTED"):
        made.launch(request(made, run, placement=first))
    made.launch(request(made, run, placement=second, token="another"))
    assert [one["zone"] for one in gce.machines()] == ["us-central1-a"]


def test_request_that_failed_is_tried_anew_with_the_same_token(gce, cloud, run):
    made = cloud()
    asked = request(made, run)
    gce.limit(0)
    for _ in range(2):
        with pytest.raises(NoCapacityError):
            made.launch(asked)
    gce.control("clear")
    made.launch(asked)
    assert len(gce.machines()) == 1


def test_spot_machines_come_first(gce, cloud, run):
    made = cloud(spot=True)
    spot, full = made.placements()
    assert (spot.is_spot, full.is_spot) == (True, False)
    assert made.launch(request(made, run, placement=spot)).placement.is_spot
    assert [one["spot"] for one in gce.machines()] == [True]
    assert all(not one.is_spot for one in made.placements(for_interchange=True))


def test_taken_back_machine_is_preempted(gce, cloud, run):
    made = cloud(spot=True)
    machine = made.launch(request(made, run))
    gce.until_running()
    gce.control("preempt", name=machine.id.rpartition("/")[2], after=0.5)
    gce.until(lambda: not gce.machines())
    (listed,) = made.list(run)
    assert (listed.state, listed.cause, listed.is_kept) == (MachineState.ENDED, EndCause.PREEMPTED, False)
    assert "preempted" in listed.reason
    assert made.list({"cnflow-run": "another"}) == []


def test_machine_that_was_deleted_by_hand_is_cancelled(gce, cloud, run):
    made = cloud()
    machine = made.launch(request(made, run))
    gce.until_running()
    assert len(made.list(run)) == 1
    cloud().terminate([machine.id])  # as somebody with the console would
    gce.until(lambda: not gce.machines())
    (listed,) = made.list(run)
    assert (listed.state, listed.cause) == (MachineState.ENDED, EndCause.USER)
    assert "me@example.org" in listed.reason


def test_machine_ends_at_its_longest_life(gce, cloud, run):
    made = cloud()
    made.launch(request(made, run, longest_life=1.0))  # Compute Engine has half a minute at least
    gce.until_running()
    gce.until(lambda: not gce.machines(), 90)
    (listed,) = made.list(run)
    assert (listed.state, listed.cause) == (MachineState.ENDED, EndCause.WALLTIME)


def test_machine_that_shuts_down_is_kept_until_it_is_deleted(gce, cloud, run):
    made = cloud(service_account=None)
    machine = made.launch(request(made, run, user_data="#!/bin/sh\nsleep 3\necho last words\nshutdown -h now\n"))
    gce.until(lambda: gce.machines("TERMINATED"))
    (listed,) = made.list(run)
    assert (listed.id, listed.state, listed.is_kept) == (machine.id, MachineState.ENDED, True)
    assert listed.reason == "the machine shut down"
    assert b"last words" in made.console(machine.id)
    made.terminate([machine.id])
    gce.until(lambda: not gce.machines())


@pytest.mark.parametrize("lacking", [(), ("curl",), ("curl", "wget")])
def test_machine_with_an_account_deletes_itself(gce, cloud, run, lacking):
    gce.control("kind", lacks=lacking)
    made = cloud()
    ending = made._settings.end_commands()
    made.launch(request(made, run, user_data=f"#!/bin/sh\nsleep 2\n{ending}\nshutdown -h now\n"))
    gce.until_running()
    gce.until(lambda: not gce.machines())
    assert gce.calls("DELETE instances") == 1


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (403, "quotaExceeded", QuotaError),
        (403, "rateLimitExceeded", ProviderBusyError),
        (429, "rateLimitExceeded", ProviderBusyError),
        (403, "forbidden", BlockRejectedError),
        (403, "accessNotConfigured", BlockRejectedError),
        (401, "authError", BlockRejectedError),
        (503, "backendError", BlockError),
    ],
)
def test_refusals_start_nothing(gce, cloud, run, status, reason, error):
    made = cloud()
    asked = request(made, run)
    gce.fault("POST instances", status=status, reason=reason, message="No.", times=999)
    with pytest.raises(error, match=reason) as raised:
        made.launch(asked)
    assert type(raised.value) is error
    assert gce.machines() == []


@pytest.mark.parametrize(
    ("code", "error"), [("QUOTA_EXCEEDED", QuotaError), ("RESOURCE_NOT_FOUND", BlockRejectedError)]
)
def test_refusals_by_the_operation_start_nothing(gce, cloud, run, code, error):
    made = cloud()
    gce.fault("op:insert", code=code, status=403, message="No.")
    with pytest.raises(error, match=rf"No\. \({code}"):
        made.launch(request(made, run))
    assert gce.machines() == []


def test_throttling_is_waited_for(gce, cloud, run):
    made = cloud()
    gce.fault("POST instances", status=403, reason="rateLimitExceeded", times=2)
    made.launch(request(made, run))
    assert gce.calls("POST instances") == 3
    assert len(gce.machines()) == 1


def test_service_that_is_down_for_seconds_is_waited_for(gce, cloud, run):
    made = cloud()
    gce.control("outage", seconds=1.5)
    made.launch(request(made, run))
    assert len(gce.machines()) == 1


def test_service_that_does_not_answer_is_no_list_without_machines(gce, cloud, run):
    made = cloud()
    made.launch(request(made, run))
    gce.control("outage", seconds=60)
    with pytest.raises(BlockError, match="could not list machines: it does not answer"):
        made.list(run)
    gce.control("outage", seconds=0)
    assert len(made.list(run)) == 1


def test_all_pages_of_a_list_are_read(gce, cloud, run, monkeypatch):
    monkeypatch.setattr("cnflow.providers.google.client._PAGE", 1)
    made = cloud(zones=["us-central1-a", "us-central1-b"])
    for number, placement in enumerate(made.placements()):
        made.launch(request(made, run, number, placement))
    assert len(made.list(run)) == 2


def test_machines_of_others_are_not_listed(gce, cloud, run):
    made = cloud()
    mine = made.launch(request(made, run))
    made.launch(request(made, {"cnflow-run": "another", OWNER: "me"}, 1))
    assert [one.id for one in made.list(run)] == [mine.id]
    made.terminate([mine.id])
    gce.until(lambda: len(gce.machines()) == 1)


def test_wrong_image_is_an_error_before_any_machine(cloud):
    with pytest.raises(BlockRejectedError, match="no image projects/debian-cloud/global/images/family/debian-99"):
        cloud(image_family="debian-99").prepare({})
    with pytest.raises(BlockRejectedError, match="no image projects/debian-cloud/global/images/mine"):
        cloud(machine_image="mine").prepare({})


def test_wrong_type_and_wrong_zone_are_rejected(cloud, run):
    made = cloud(instance_types=["e9-huge"])
    with pytest.raises(BlockRejectedError, match="'e9-huge' does not exist in zone"):
        made.launch(request(made, run))
    made = cloud(zones=["us-central1-z"])
    with pytest.raises(BlockRejectedError, match="Unknown zone"):
        made.launch(request(made, run))


def test_zones_of_the_region_are_those_that_are_up(cloud, run):
    made = cloud(zones=[])
    made.prepare(run)
    assert [one.zone for one in made.placements()] == [f"us-central1-{letter}" for letter in "abcf"]


def test_missing_credentials_name_the_login(cloud, run, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(BlockRejectedError, match="gcloud auth application-default login"):
        cloud().list(run)


def test_own_network_is_made_once_and_removed_after_its_machines(gce, cloud, run):
    made = cloud(create_network=True)
    made.prepare(run)
    cloud(create_network=True).prepare(run)
    (name,) = made.shared(run)
    machine = made.launch(request(made, run))
    assert made.remove_shared(run) == []
    made.terminate([machine.id])
    gce.until(lambda: not gce.machines())
    assert made.remove_shared({OWNER: "somebody"}) == []
    assert made.remove_shared(run) == [name]
    assert made.shared(run) == []


def test_check_finds_image_types_and_quotas(gce, cloud):
    findings = cloud().check()
    assert [one.verdict for one in findings] == [Verdict.GOOD] * 4
    assert findings[0].found == f"credentials for the project {gce.project}"
    assert findings[-1].found == "quota CPUS: 24 of 24 are free"


def test_check_finds_what_is_missing(gce, cloud):
    findings = cloud(instance_types=["n2-standard-8"], image_family="debian-99").check()
    assert [one.verdict for one in findings] == [Verdict.GOOD, Verdict.BAD, Verdict.BAD, Verdict.BAD]
    assert "no such type: n2-standard-8 in us-central1-a" in findings[2].found
    assert findings[3].found == "quota N2_CPUS: 0 of 8 are free, and 8 are wanted"
    assert gce.machines() == []
