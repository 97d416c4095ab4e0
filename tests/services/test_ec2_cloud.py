"""Calls of EC2 by the real SDK, answered by moto with machines that run."""

import time
import uuid

import pytest

from cnflow.config import EC2Provider
from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.block import EndCause
from cnflow.model.finding import Verdict
from cnflow.model.machine import MachineRequest, MachineState
from cnflow.providers.aws.cloud import EC2Cloud
from tests.services.ec2_cloud import IMAGE

pytestmark = [pytest.mark.ec2, pytest.mark.timeout(180)]
STAYS = "#!/bin/sh\necho hello from $(id -un)\nsleep 600\n"


def cloud(**options):
    return EC2Cloud(EC2Provider(**{"image_id": IMAGE, "instance_types": ["t3.micro"], **options}))


@pytest.fixture
def run():
    return {"cnflow-run": uuid.uuid4().hex}


def request(made, tags, number=0, placement=None, **options):
    name = f"cnflow-{tags['cnflow-run'][:8]}-{number}"
    asked = {"user_data": STAYS, "token": f"{name}-token", **options}
    return MachineRequest(name=name, placement=placement or made.placements()[0], tags=tags, **asked)


def ended_in(machines):
    """The only machine, once it has ended."""
    (machine,) = machines
    return machine if machine.state is MachineState.ENDED else None


def test_machine_lives_from_launch_to_end(ec2, run):
    made = cloud()
    made.prepare(run)
    machine = made.launch(request(made, run))
    assert (machine.state, machine.placement.instance_type) == (MachineState.PENDING, "t3.micro")
    assert machine.tags["cnflow-run"] == run["cnflow-run"]
    ec2.until_state("running")
    (listed,) = made.list(run)
    assert (listed.id, listed.state) == (machine.id, MachineState.RUNNING)
    assert listed.private_address.startswith("10.81.")
    assert abs(listed.launched_at - time.time()) < 60
    assert listed.placement.rate.cores == 2
    ec2.until(lambda: b"hello from root" in made.console(machine.id))
    assert made.terminate([machine.id]) == {}
    listed = ec2.until(lambda: ended_in(made.list(run)))
    assert (listed.state, listed.cause) == (MachineState.ENDED, EndCause.USER)


def test_repeated_launch_returns_the_same_machine(ec2, run):
    made = cloud()
    asked = request(made, run)
    assert made.launch(asked).id == made.launch(asked).id
    assert len(ec2.machines()) == 1


def test_repeated_token_with_other_arguments_returns_the_machine_that_has_it(ec2, run):
    made = cloud()
    first = made.launch(request(made, run))
    assert made.launch(request(made, run, user_data="#!/bin/sh\nsleep 5\n")).id == first.id
    assert len(ec2.machines()) == 1


def test_lost_reply_starts_one_machine(ec2, run):
    ec2.fault("RunInstances", after=True)
    made = cloud()
    made.launch(request(made, run))
    assert ec2.calls("RunInstances") == 2
    assert len(ec2.machines()) == 1


def test_connection_that_breaks_is_made_again(ec2, run):
    ec2.fault("RunInstances", drop=True)
    made = cloud()
    made.launch(request(made, run))
    assert len(ec2.machines()) == 1


def test_zone_without_capacity_is_refused_at_once(ec2, run):
    made = cloud(zones=["us-east-1b", "us-east-1a"])
    ec2.limit(0, zone="us-east-1b")
    first, second = made.placements()
    assert (first.zone, second.zone) == ("us-east-1b", "us-east-1a")
    with pytest.raises(NoCapacityError, match="EC2 refused RunInstances: We currently do not have sufficient"):
        made.launch(request(made, run, placement=first))
    assert ec2.calls("RunInstances") == 1  # though EC2 answers it as a failure of its own, which the SDK repeats
    made.launch(request(made, run, placement=second, token="another"))
    assert [one["zone"] for one in ec2.machines()] == ["us-east-1a"]


def test_spot_machines_come_first_and_carry_their_price(ec2, run):
    made = cloud(spot=True, spot_max_price=0.02, zones=["us-east-1a"])
    spot, full = made.placements()
    assert (spot.is_spot, full.is_spot) == (True, False)
    assert made.launch(request(made, run, placement=spot)).placement.is_spot
    assert [one["is_spot"] for one in ec2.machines()] == [True]
    assert all(not one.is_spot for one in made.placements(for_interchange=True))


def test_taken_back_machine_is_preempted(ec2, run):
    made = cloud(spot=True)
    machine = made.launch(request(made, run))
    ec2.until_state("running")
    ec2.control("interrupt", id=machine.id, after=0.5)
    listed = ec2.until(lambda: ended_in(made.list(run)))
    assert (listed.state, listed.cause) == (MachineState.ENDED, EndCause.PREEMPTED)
    assert "Spot" in listed.reason


def test_machine_that_shuts_itself_down_is_gone(ec2, run):
    made = cloud()
    machine = made.launch(request(made, run, user_data="#!/bin/sh\nsleep 2\necho last words\nshutdown -h now\n"))
    listed = ec2.until(lambda: ended_in(made.list(run)))
    assert (listed.id, listed.state, listed.cause) == (machine.id, MachineState.ENDED, None)
    assert ec2.until(lambda: b"last words" in made.console(machine.id))  # EC2's console comes after the machine's end


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("VcpuLimitExceeded", 400, QuotaError),
        ("MaxSpotInstanceCountExceeded", 400, QuotaError),
        ("UnauthorizedOperation", 403, BlockRejectedError),
        ("AuthFailure", 401, BlockRejectedError),
        ("InvalidKeyPair.NotFound", 400, BlockRejectedError),
        ("RequestExpired", 400, BlockError),
        ("Unsupported", 400, NoCapacityError),
    ],
)
def test_refusals_start_nothing(ec2, run, code, status, error):
    made = cloud()
    asked = request(made, run)
    ec2.fault("RunInstances", code=code, status=status, message="No.", times=99)
    with pytest.raises(error, match=code) as raised:
        made.launch(asked)
    assert type(raised.value) is error
    assert ec2.machines() == []


def test_short_throttling_is_waited_for(ec2, run):
    made = cloud()
    asked = request(made, run)
    ec2.fault("RunInstances", code="RequestLimitExceeded", status=503, times=2)
    made.launch(asked)
    assert ec2.calls("RunInstances") == 3


def test_long_throttling_is_reported_as_busy(ec2, run):
    made = cloud()
    asked = request(made, run)
    ec2.fault("RunInstances", code="RequestLimitExceeded", status=503, times=99)
    with pytest.raises(ProviderBusyError, match="RequestLimitExceeded"):
        made.launch(asked)


def test_service_that_does_not_answer_is_no_list_without_machines(ec2, run):
    made = cloud()
    made.launch(request(made, run))
    ec2.fault("DescribeInstances", drop=True, times=99)
    with pytest.raises(BlockError, match="EC2 does not answer DescribeInstances"):
        made.list(run)
    ec2.clear()
    assert len(made.list(run)) == 1


def test_wrong_image_names_what_to_do(ec2):
    with pytest.raises(BlockRejectedError, match=r"InvalidAMIID.NotFound.*Images have another id in each region"):
        cloud(image_id="ami-0123456789abcdef0").prepare({})


def test_image_by_name_is_the_newest_one(ec2):
    assert cloud(image_id="cnflow-machine-*").find_image().name == "cnflow-machine-2"
    with pytest.raises(BlockRejectedError, match="has no image 'nobody-\\*'"):
        cloud(image_id="nobody-*").prepare({})


def test_image_of_a_family_is_found_by_its_parameter(ec2):
    assert cloud(image_id="ubuntu-24.04").find_image().id == IMAGE


def test_machines_of_others_are_neither_listed_nor_ended(ec2, run):
    made = cloud()
    mine, theirs = made.launch(request(made, run)), made.launch(request(made, {"cnflow-run": "another"}, 1))
    assert [one.id for one in made.list(run)] == [mine.id]
    assert made.list({}) == []
    assert made.terminate([mine.id, "i-0123456789abcdef0"]) == {}
    ec2.until_state("terminated")
    assert {one["id"] for one in ec2.machines("pending", "running")} == {theirs.id}


def test_new_credentials_are_read_after_old_ones_have_expired(ec2, run, monkeypatch):
    made = cloud()
    assert made.list(run) == []
    ec2.fault(code="ExpiredToken", message="The security token included in the request is expired", times=99)
    with pytest.raises(BlockError, match="Log in again"):
        made.list(run)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"{ec2.key}NEW")
    assert made.list(run) == []


def test_own_network_is_made_once_and_removed_after_its_machines(ec2, run):
    made = cloud(create_network=True, zones=["us-east-1a", "us-east-1b"])
    assert made.shared(run) == []
    assert [one.zone for one in made.placements()] == ["us-east-1a", "us-east-1b"]
    assert made.shared(run) == []  # a plan makes none
    made.prepare(run)
    first = made.shared(run)
    assert [one.split()[0] for one in first] == [
        "security-group",
        "subnet",
        "subnet",
        "route-table",
        "internet-gateway",
        "vpc",
    ]
    cloud(create_network=True, zones=["us-east-1a", "us-east-1b"]).prepare(run)
    assert made.shared(run) == first
    machine = made.launch(request(made, run))
    assert made.remove_shared(run) == []
    made.terminate([machine.id])
    ec2.until_state("terminated")
    assert made.remove_shared(run) == first
    assert made.shared(run) == []
    made.launch(request(made, run, 1))  # makes it again


def test_machine_of_the_interchange_has_an_address_and_an_open_port(ec2, run):
    made = cloud()
    (placement, *_) = made.placements(for_interchange=True)
    made.launch(request(made, run, placement=placement, is_interchange=True))
    ec2.until_state("running")
    (machine,) = made.list(run)
    assert machine.public_address
    (group,) = made.shared(run)
    assert group.startswith("security-group ")
    made.terminate([machine.id])
    ec2.until_state("terminated")
    assert made.remove_shared(run) == [group]


def test_types_by_need_are_the_cheapest_that_fit(ec2):
    chosen = cloud(instance_types=[], cores=4, memory="16g", zones=["us-east-1a"]).placements()
    assert all(one.rate.cores >= 4 for one in chosen)
    prices = [one.rate.usd_per_hour for one in chosen]
    assert prices == sorted(prices)


def test_check_of_the_account_starts_nothing(ec2):
    findings = cloud().check()
    assert [one.verdict for one in findings] == [Verdict.GOOD] * len(findings)
    assert {one.about for one in findings} >= {"AWS: credentials", "AWS: rights", "AWS: image of the machines"}
    assert ec2.machines() == []


def test_check_reports_missing_credentials(ec2, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (finding,) = cloud().check()
    assert finding.verdict is Verdict.BAD
    assert "aws sso login" in finding.found
