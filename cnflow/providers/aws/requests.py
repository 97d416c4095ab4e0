"""Arguments of RunInstances, built from one request. No I/O.

::

    MachineRequest(placement, tags, user_data, token) + EC2Provider + Site(image, subnets, groups)
        └──instance_for──> {"ImageId": ..., "InstanceType": ..., "ClientToken": ..., "TagSpecifications": [...], ...}
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.ec2 import EC2Provider
    from cnflow.model.machine import MachineRequest

_LONGEST_TOKEN = 64
_TAGGED = ("instance", "volume", "network-interface")


@dataclass(frozen=True)
class AMI:
    """An image of machines."""

    id: str
    name: str = ""
    architecture: str = "x86_64"
    root_device: str = "/dev/xvda"
    root_size: int = 0
    """GiB of its first disk."""


@dataclass(frozen=True)
class Site:
    """What a region has for the machines of these settings, found once."""

    image: AMI
    subnets: Mapping[str, str] = field(default_factory=dict)
    """Zone, or id of a subnet, -> id of the subnet; empty leaves it to EC2."""

    groups: Sequence[str] = ()
    """Ids of the security groups of every machine; empty is the default group of the network."""

    interchange_groups: Sequence[str] = ()
    """Ids of further groups of the interchange's machine."""


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return *tags* as EC2 takes them."""
    return [{"Key": name, "Value": value} for name, value in sorted(tags.items())]


def tag_filters(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the filters of things that carry all of *tags*."""
    return [{"Name": f"tag:{name}", "Values": [value]} for name, value in sorted(tags.items())]


def client_token(token: str) -> str:
    """Return *token* as EC2 takes it: at most 64 characters."""
    return token if len(token) <= _LONGEST_TOKEN else hashlib.sha256(token.encode()).hexdigest()


def launch_template(text: str) -> dict[str, str]:
    """Return the argument of the launch template ``NAME[:VERSION]`` or ``lt-ID[:VERSION]``."""
    name, _, version = text.partition(":")
    key = "LaunchTemplateId" if name.startswith("lt-") else "LaunchTemplateName"
    return {key: name, **({"Version": version} if version else {})}


def instance_for(request: MachineRequest, settings: EC2Provider, site: Site) -> dict[str, Any]:
    """Return the arguments of RunInstances for *request*; those of `EC2Provider.create` go before."""
    placement = request.placement
    tags = {**settings.tags, **request.tags}
    kinds = (*_TAGGED, "spot-instances-request") if placement.is_spot else _TAGGED
    arguments: dict[str, Any] = {
        "ImageId": site.image.id,
        "InstanceType": placement.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": client_token(request.token),
        # A machine that shuts itself down is gone; spot machines can have no other behaviour.
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tag_list({"Name": request.name, **tags})} for kind in kinds
        ],
        "UserData": request.user_data,
        **_place(request, settings, site),
        **_disk(settings, site.image),
    }
    if placement.is_spot:
        arguments["InstanceMarketOptions"] = _spot(settings)
    if settings.key_name:
        arguments["KeyName"] = settings.key_name
    if profile := settings.instance_profile:
        arguments["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if settings.launch_template:
        arguments["LaunchTemplate"] = launch_template(settings.launch_template)
    if request.private_address:
        interface = arguments.get("NetworkInterfaces")
        (interface[0] if interface else arguments)["PrivateIpAddress"] = request.private_address
    return {**arguments, **settings.create}


def _place(request: MachineRequest, settings: EC2Provider, site: Site) -> dict[str, Any]:
    """Subnet, groups and public address: of a network interface where an address is asked for, else of the machine."""
    zone = request.placement.zone
    subnet = site.subnets.get(zone, "")
    groups = [*site.groups, *(site.interchange_groups if request.is_interchange else ())]
    is_public = True if request.is_interchange else settings.public_addresses
    if is_public is None:
        place: dict[str, Any] = {"SubnetId": subnet} if subnet else {}
        place |= {"Placement": {"AvailabilityZone": zone}} if zone and not subnet else {}
        return place | ({"SecurityGroupIds": groups} if groups else {})
    interface: dict[str, Any] = {"DeviceIndex": 0, "AssociatePublicIpAddress": is_public, "DeleteOnTermination": True}
    interface |= ({"SubnetId": subnet} if subnet else {}) | ({"Groups": groups} if groups else {})
    placement = {"Placement": {"AvailabilityZone": zone}} if zone and not subnet else {}
    return {"NetworkInterfaces": [interface], **placement}


def _disk(settings: EC2Provider, image: AMI) -> dict[str, Any]:
    if not settings.disk_size:
        return {}
    size = max(settings.disk_size, image.root_size)  # a smaller one than that of the image is refused
    disk = {"VolumeSize": size, "VolumeType": settings.disk_type, "DeleteOnTermination": True}
    return {"BlockDeviceMappings": [{"DeviceName": image.root_device, "Ebs": disk}]}


def _spot(settings: EC2Provider) -> dict[str, Any]:
    options: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if settings.spot_max_price is not None:
        options["MaxPrice"] = f"{settings.spot_max_price:f}".rstrip("0").rstrip(".")
    return {"MarketType": "spot", "SpotOptions": options}
