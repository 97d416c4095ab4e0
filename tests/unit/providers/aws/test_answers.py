"""Answers of EC2: errors, machines, types, images, prices, quotas."""

import json
from datetime import datetime, timezone

import pytest

from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError
from cnflow.model.block import EndCause
from cnflow.model.machine import MachineState, Placement
from cnflow.providers.aws.checks import quota_of
from cnflow.providers.aws.errors import Failure, error_for
from cnflow.providers.aws.images import ami_of, newest, parameter_of
from cnflow.providers.aws.machines import machine_of
from cnflow.providers.aws.prices import on_demand_of, spot_of
from cnflow.providers.aws.types import InstanceType, Needs, architecture_of, cheapest, type_of
from cnflow.units import GIB


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InsufficientInstanceCapacity", 500, NoCapacityError),
        ("Unsupported", 400, NoCapacityError),
        ("VcpuLimitExceeded", 400, QuotaError),
        ("RequestLimitExceeded", 503, ProviderBusyError),
        ("InternalError", 500, BlockError),
        ("SomethingNew", 503, BlockError),
        ("ExpiredToken", 400, BlockError),
        ("SomethingNew", 400, BlockRejectedError),
    ],
)
def test_code_of_an_error_decides_the_reaction(code, status, kind):
    error = error_for(Failure(code, "Words.", "RunInstances", status), "EC2 in us-east-2")
    assert type(error) is kind
    assert "EC2 in us-east-2" in str(error)
    assert f"({code})" in str(error)


def test_wrong_clock_is_named_in_place_of_the_credentials():
    error = error_for(Failure("RequestExpired", "Request has expired.", "RunInstances", 400, skew=-4000), "EC2")
    assert type(error) is BlockError
    assert "The clock of this machine is 4000 s behind that of AWS" in str(error)


def test_machine_that_was_taken_back():
    launched = datetime(2026, 11, 26, tzinfo=timezone.utc)
    reason = {"Code": "Server.SpotInstanceTermination", "Message": "Server.SpotInstanceTermination: taken"}
    machine = machine_of(
        {
            "InstanceId": "i-1",
            "InstanceType": "t3.micro",
            "State": {"Name": "terminated"},
            "StateReason": reason,
            "InstanceLifecycle": "spot",
            "LaunchTime": launched,
            "Placement": {"AvailabilityZone": "us-east-1a"},
            "SubnetId": "subnet-1",
            "Tags": [{"Key": "cnflow-run", "Value": "r"}],
        },
        by_subnet=True,
    )
    assert (machine.state, machine.cause, machine.reason) == (MachineState.ENDED, EndCause.PREEMPTED, reason["Message"])
    assert machine.placement == Placement("t3.micro", "subnet-1", is_spot=True)
    assert (machine.tags, machine.launched_at) == ({"cnflow-run": "r"}, launched.timestamp())


def test_stopped_machine_has_ended_and_is_kept():
    machine = machine_of({"InstanceId": "i-1", "State": {"Name": "stopped"}})
    assert (machine.state, machine.is_kept) == (MachineState.ENDED, True)  # its disk is paid for
    assert not machine_of({"InstanceId": "i-1", "State": {"Name": "terminated"}}).is_kept


def test_cheapest_types_that_fit_come_first():
    types = [
        InstanceType("small", 2, 4 * GIB),
        InstanceType("costly", 8, 32 * GIB),
        InstanceType("cheap", 8, 16 * GIB),
        InstanceType("unpriced", 16, 64 * GIB),
        InstanceType("arm", 8, 32 * GIB, 0, ("arm64",)),
    ]
    prices = {"small": 0.01, "costly": 0.5, "cheap": 0.2, "arm": 0.1}
    found = cheapest(types, Needs(cores=4, memory=16 * GIB), prices.get)
    assert [one.name for one in found] == ["cheap", "costly", "unpriced"]


def test_type_as_ec2_describes_it():
    described = {
        "InstanceType": "g5.xlarge",
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 16384},
        "GpuInfo": {"Gpus": [{"Count": 1}]},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }
    assert type_of(described) == InstanceType("g5.xlarge", 4, 16 * GIB, 1, ("x86_64",))


@pytest.mark.parametrize("name", ["t4g.small", "m7g.large", "c7gn.xlarge", "im4gn.large", "a1.medium", "g5g.xlarge"])
def test_names_of_arm_types(name):
    assert architecture_of(name) == "arm64"


@pytest.mark.parametrize("name", ["t3.small", "g5.xlarge", "g4dn.xlarge", "p4de.24xlarge", "g6e.xlarge", "m6i.large"])
def test_names_of_other_types(name):
    assert architecture_of(name) == "x86_64"


def test_parameter_of_an_image():
    assert parameter_of("ssm:/mine/image", "x86_64") == "/mine/image"
    assert parameter_of("resolve:ssm:/mine/image", "x86_64") == "/mine/image"
    assert "/arm64/" in parameter_of("ubuntu-24.04", "arm64")
    assert parameter_of("ami-1", "x86_64") == ""
    with pytest.raises(BlockRejectedError, match="has none for arm64"):
        parameter_of("amazon-linux-gpu", "arm64")


def test_newest_available_image_is_taken():
    images = [
        {"ImageId": "ami-1", "CreationDate": "2026-01-01T00:00:00.000Z", "State": "available"},
        {"ImageId": "ami-2", "CreationDate": "2026-02-01T00:00:00.000Z", "State": "available"},
        {"ImageId": "ami-3", "CreationDate": "2026-03-01T00:00:00.000Z", "State": "pending"},
    ]
    assert newest(images)["ImageId"] == "ami-2"
    assert newest([]) is None


def test_image_as_ec2_describes_it():
    disks = [{"DeviceName": "/dev/sdb"}, {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30}}]
    image = ami_of({"ImageId": "ami-1", "RootDeviceName": "/dev/sda1", "BlockDeviceMappings": disks})
    assert (image.root_device, image.root_size, image.architecture) == ("/dev/sda1", 30, "x86_64")


def test_price_in_awss_list():
    dimensions = {"d": {"unit": "Hrs", "pricePerUnit": {"USD": "0.0960000000"}}}
    product = json.dumps({"terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}}})
    free = json.dumps({"terms": {"OnDemand": {"t": {"priceDimensions": {"d": {"unit": "Hrs", "pricePerUnit": {}}}}}}})
    assert on_demand_of([free, product]) == 0.096
    assert on_demand_of([]) is None


def test_spot_price_is_the_newest_one_of_the_cheapest_zone():
    def entry(zone, hour, price):
        moment = datetime(2026, 1, 1, hour, tzinfo=timezone.utc)
        return {"InstanceType": "t3.micro", "AvailabilityZone": zone, "Timestamp": moment, "SpotPrice": price}

    assert spot_of([entry("a", 2, "0.02"), entry("a", 1, "0.001"), entry("b", 1, "0.03")]) == {"t3.micro": 0.02}


@pytest.mark.parametrize(
    ("name", "is_spot", "code"),
    [
        ("t3.micro", False, "L-1216C47A"),
        ("m6i.large", True, "L-34B43A08"),
        ("im4gn.large", False, "L-1216C47A"),
        ("g5.xlarge", False, "L-DB2E81BA"),
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("inf2.xlarge", False, "L-1945791B"),
        ("u-6tb1.metal", False, ""),
    ],
)
def test_quota_that_a_type_counts_against(name, is_spot, code):
    assert quota_of(Placement(name, "", is_spot)) == code
