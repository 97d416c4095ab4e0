"""Arguments of RunInstances."""

import pytest

from cnflow.config import EC2Provider
from cnflow.errors import ConfigurationError
from cnflow.model.machine import MachineRequest, Placement
from cnflow.providers.aws.requests import AMI, Site, client_token, instance_for, launch_template

SITE = Site(
    AMI("ami-1", root_device="/dev/sda1", root_size=8), {"us-east-1a": "subnet-1"}, (), ("sg-default", "sg-ssh")
)


def request(zone="us-east-1a", *, is_spot=False, **options):
    placement = Placement("m6i.large", zone, is_spot)
    asked = {"token": "t" * 64, "user_data": "#!/bin/sh\n", "tags": {"cnflow-run": "r1"}, **options}
    return MachineRequest(name="block-0", placement=placement, **asked)


def arguments(asked=None, site=SITE, **options):
    return instance_for(asked or request(), EC2Provider(**options), site)


def test_request_of_a_machine():
    assert arguments() == {
        "ImageId": "ami-1",
        "InstanceType": "m6i.large",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "t" * 64,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "TagSpecifications": [
            {
                "ResourceType": kind,
                "Tags": [{"Key": "Name", "Value": "block-0"}, {"Key": "cnflow-run", "Value": "r1"}],
            }
            for kind in ("instance", "volume", "network-interface")
        ],
        "UserData": "#!/bin/sh\n",
        "SubnetId": "subnet-1",
    }


def test_spot_machine_is_tagged_with_its_request():
    asked = arguments(request(is_spot=True), spot=True, spot_max_price=0.05)
    assert asked["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
            "MaxPrice": "0.05",
        },
    }
    assert asked["TagSpecifications"][-1]["ResourceType"] == "spot-instances-request"


def test_tags_of_the_user_do_not_replace_those_of_cnflow():
    tags = arguments(tags={"team": "physics", "cnflow-run": "mine"})["TagSpecifications"][0]["Tags"]
    assert {"Key": "team", "Value": "physics"} in tags
    assert {"Key": "cnflow-run", "Value": "r1"} in tags


def test_machine_of_the_interchange_has_a_public_address_and_the_group_with_ssh():
    asked = arguments(request(is_interchange=True, private_address="10.0.0.9"))
    assert asked["NetworkInterfaces"] == [
        {
            "DeviceIndex": 0,
            "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
            "SubnetId": "subnet-1",
            "Groups": ["sg-default", "sg-ssh"],
            "PrivateIpAddress": "10.0.0.9",
        }
    ]
    assert not asked.keys() & {"SubnetId", "SecurityGroupIds", "PrivateIpAddress"}  # EC2 refuses both


def test_zone_without_a_known_subnet_is_left_to_ec2():
    assert arguments(request("us-east-1c"))["Placement"] == {"AvailabilityZone": "us-east-1c"}
    assert not arguments(request("")).keys() & {"Placement", "SubnetId"}


def test_first_disk_is_no_smaller_than_that_of_the_image():
    (disk,) = arguments(disk_size=4)["BlockDeviceMappings"]
    assert (disk["DeviceName"], disk["Ebs"]["VolumeSize"]) == ("/dev/sda1", 8)
    assert arguments(disk_size=100)["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 100


def test_options_of_the_user_are_passed_on():
    arn = "arn:aws:iam::123456789012:instance-profile/worker"
    asked = arguments(key_name="mine", instance_profile=arn, launch_template="base:3", create={"EbsOptimized": True})
    assert (asked["KeyName"], asked["IamInstanceProfile"], asked["EbsOptimized"]) == ("mine", {"Arn": arn}, True)
    assert asked["LaunchTemplate"] == {"LaunchTemplateName": "base", "Version": "3"}
    assert launch_template("lt-123") == {"LaunchTemplateId": "lt-123"}
    assert arguments(instance_profile="worker")["IamInstanceProfile"] == {"Name": "worker"}


def test_long_token_is_shortened_without_losing_differences():
    first, second = (client_token("x" * 70 + end) for end in "ab")
    assert len(first) <= 64
    assert first != second


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"create": {"UserData": "x"}}, "UserData is set by cnflow"),
        ({"create": {"InstanceInitiatedShutdownBehavior": "stop"}}, "is set by cnflow"),
        ({"region": "us-east-2", "zones": ["eu-west-1a"]}, "the zone 'eu-west-1a' is not in region='us-east-2'"),
        ({"spot_max_price": 0.1}, "needs spot=True"),
        ({"image_id": "ubuntu-24.4"}, "Did you mean 'ubuntu-24.04'?"),
        ({"subnets": ["us-east-1a"]}, "is no id of a subnet"),
        ({"instance_profile": "arn:aws:iam::1:role/worker"}, "is no ARN of an instance profile"),
        ({"instance_type": "t3.micro"}, "Did you mean 'instance_types'?"),
    ],
)
def test_wrong_options_are_refused_with_what_to_do(options, words):
    with pytest.raises(ConfigurationError) as error:
        EC2Provider(**options)
    assert words in str(error.value)
