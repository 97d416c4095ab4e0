"""Networks of machines: those that the account has, and the one that cnflow makes and removes.

::

    make:    VPC ──> internet gateway ──> routes ──> a subnet for each zone ──> security group      all tagged, in order
             │  what carries our tags is taken as it is, so that a call that was cut off is continued
    remove:  security group, subnets, route table, gateway, VPC                what is in use stays, and is not an error

One network serves all runs of an owner in a region, since an account may have few (5). Groups that cnflow makes:

    in its own network      members reach each other; port 22 from `ssh_from`
    in another network      port 22 from `ssh_from`, for the interchange's machine, beside the default group
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers._shared.machines.tags import network_tags, owner
from cnflow.providers.aws.errors import code_of
from cnflow.providers.aws.requests import tag_filters, tag_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.ec2 import EC2Provider
    from cnflow.providers.aws.client import AWS

logger = logging.getLogger(__name__)

_CIDR = "10.0.0.0/16"
_SUBNET = "10.0.{}.0/20"
_SSH = 22
_MAKING = threading.Lock()
"""Held while something is made: executors of one run are prepared side by side, and share it."""

_GROUP, _SSH_GROUP = "cnflow", "cnflow-ssh"


def group_rules(group: str, cidrs: Sequence[str], *, is_own_network: bool) -> list[dict[str, Any]]:
    """Return what *group* lets in: port 22, and in a network of cnflow's own all from its members. Pure."""
    ssh = {
        "IpProtocol": "tcp",
        "FromPort": _SSH,
        "ToPort": _SSH,
        "IpRanges": [{"CidrIp": cidr, "Description": "cnflow: the driver"} for cidr in cidrs],
    }
    members = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    return [ssh, members] if is_own_network else [ssh]


class Network:
    """Subnets and security groups for the machines of these settings.

    Args:
        aws: of the account.
        settings: what the user wrote.
    """

    def __init__(self, aws: AWS, settings: EC2Provider) -> None:
        self._aws = aws
        self._settings = settings

    def subnets(self) -> dict[str, str]:
        """Return zone, or id of a subnet that the user names, -> id of the subnet, in the order of trying.

        Raises:
            BlockRejectedError: there is none.
        """
        if self._settings.subnets:
            return {subnet: subnet for subnet in self._settings.subnets}
        if self._settings.create_network:
            with _MAKING:
                return self._make()
        filters = [{"Name": "default-for-az", "Values": ["true"]}]
        found = self._by_zone(self._list("subnets", filters))
        if not found:
            raise BlockRejectedError(
                f"{self._aws.where} has no default network for this account. Set subnets of EC2Provider, or "
                "create_network=True."
            )
        return found

    def groups(self, subnets: Mapping[str, str]) -> list[str]:
        """Return the ids of the security groups of every machine; empty is the network's default one."""
        if self._settings.security_groups:
            return self._named(self._settings.security_groups, subnets)
        if self._settings.create_network:
            return [self._group(_GROUP, self._vpc_of(subnets), is_own_network=True)]
        return []

    def interchange_groups(self, subnets: Mapping[str, str]) -> list[str]:
        """Return the ids of further groups of the interchange's machine; one is made if need be."""
        if self._settings.security_groups or self._settings.create_network:
            return []
        vpc = self._vpc_of(subnets)
        filters = [{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [vpc]}]
        default = [one["GroupId"] for one in self._list("security_groups", filters)]
        return [*default, self._group(_SSH_GROUP, vpc, is_own_network=False)]

    def shared(self) -> list[str]:
        """Return the ids of what cnflow has made for this owner and can be removed."""
        return [f"{kind} {one}" for kind, one in self._made()]

    def remove(self) -> list[str]:
        """Remove what cnflow has made for this owner and is in no use; return names of it."""
        made, removed = self._made(), []
        if self._is_used(made):
            return []
        for kind, one in made:
            if self._remove(kind, one):
                removed.append(f"{kind} {one}")
        return removed

    def _make(self) -> dict[str, str]:
        vpc = self._once("vpc", "VpcId", {"CidrBlock": _CIDR})
        self._aws.call("modify_vpc_attribute", {"VpcId": vpc, "EnableDnsHostnames": {"Value": True}})
        gateway = self._once("internet_gateway", "InternetGatewayId", {})
        self._tolerate(
            "Resource.AlreadyAssociated", "attach_internet_gateway", {"InternetGatewayId": gateway, "VpcId": vpc}
        )
        table = self._once("route_table", "RouteTableId", {"VpcId": vpc})
        route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}
        self._tolerate("RouteAlreadyExists", "create_route", route)
        return self._make_subnets(vpc, table)

    def _make_subnets(self, vpc: str, table: str) -> dict[str, str]:
        there = {one["AvailabilityZone"]: one["SubnetId"] for one in self._list("subnets", tag_filters(network_tags()))}
        for index, zone in enumerate(self.zones_of_region()):
            if zone in there or (self._settings.zones and zone not in self._settings.zones):
                continue
            asked = {"VpcId": vpc, "CidrBlock": _SUBNET.format(16 * index), "AvailabilityZone": zone}
            there[zone] = self._create("subnet", "SubnetId", asked)
        for subnet in there.values():
            self._aws.call("modify_subnet_attribute", {"SubnetId": subnet, "MapPublicIpOnLaunch": {"Value": True}})
            self._tolerate(
                "Resource.AlreadyAssociated", "associate_route_table", {"RouteTableId": table, "SubnetId": subnet}
            )
        return self._in_order(there)

    def zones_of_region(self) -> list[str]:
        """Zones of the region, at most 16, which the network has room for."""
        filters = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
        answer = self._aws.call("describe_availability_zones", {"Filters": filters})
        return sorted(zone["ZoneName"] for zone in answer["AvailabilityZones"])[:16]

    def _by_zone(self, subnets: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        zones = {one["AvailabilityZone"]: one["SubnetId"] for one in subnets}
        return self._in_order({zone: zones[zone] for zone in sorted(zones)})

    def _in_order(self, zones: Mapping[str, str]) -> dict[str, str]:
        """*zones* in the user's order, and without others than the user's; a zone without a subnet is refused."""
        wanted = self._settings.zones or list(zones)
        if missing := [zone for zone in wanted if zone not in zones]:
            raise BlockRejectedError(
                f"{self._aws.where} has no subnet for this account in the zone {missing[0]!r}; it has some in "
                f"{', '.join(zones) or 'none'}. Check zones of EC2Provider."
            )
        return {zone: zones[zone] for zone in wanted}

    def _vpc_of(self, subnets: Mapping[str, str]) -> str:
        first = next(iter(subnets.values()))
        return str(self._aws.call("describe_subnets", {"SubnetIds": [first]})["Subnets"][0]["VpcId"])

    def _named(self, groups: Sequence[str], subnets: Mapping[str, str]) -> list[str]:
        """Ids of *groups*, of which some may be names."""
        names = [one for one in groups if not one.startswith("sg-")]
        if not names:
            return list(groups)
        filters = [
            {"Name": "group-name", "Values": names},
            {"Name": "vpc-id", "Values": [self._vpc_of(subnets)]},
        ]
        ids = {one["GroupName"]: one["GroupId"] for one in self._list("security_groups", filters)}
        if missing := [name for name in names if name not in ids]:
            raise BlockRejectedError(
                f"The network of the machines has no security group {missing[0]!r}. Check security_groups of "
                "EC2Provider: names, or ids sg-..., of the network of its subnets."
            )
        return [ids.get(one, one) for one in groups]

    def _group(self, name: str, vpc: str, *, is_own_network: bool) -> str:
        """Id of this owner's group in *vpc*, made if need be, with the rules of today's settings."""
        with _MAKING:
            group = self._group_there(name, vpc) or self._make_group(name, vpc)
        for rule in group_rules(group, self._settings.ssh_from, is_own_network=is_own_network):
            self._tolerate(
                "InvalidPermission.Duplicate",
                "authorize_security_group_ingress",
                {"GroupId": group, "IpPermissions": [rule]},
            )
        return group

    def _group_there(self, name: str, vpc: str) -> str:
        filters = [*tag_filters(network_tags()), {"Name": "vpc-id", "Values": [vpc]}]
        there = self._list("security_groups", filters)
        return next((str(one["GroupId"]) for one in there if one["GroupName"].startswith(f"{name}-")), "")

    def _make_group(self, name: str, vpc: str) -> str:
        """Make a group, named by its owner too: others may have theirs in the same network."""
        asked = {"GroupName": f"{name}-{owner()}", "Description": "Made by cnflow: machines of its runs", "VpcId": vpc}
        try:
            return self._create("security_group", "GroupId", asked, is_listed=False)
        except BlockError as error:
            if code_of(error) == "InvalidGroup.Duplicate" and (made := self._group_there(name, vpc)):
                return made  # by another run of this owner, at the same time
            raise

    def _once(self, kind: str, key: str, asked: Mapping[str, Any]) -> str:
        """Id of the one resource of *kind* with our tags, made if there is none."""
        there = sorted(str(one[key]) for one in self._list(f"{kind}s", tag_filters(network_tags())))
        return there[0] if there else self._create(kind, key, asked)

    def _create(self, kind: str, key: str, asked: Mapping[str, Any], *, is_listed: bool = True) -> str:
        """Make a resource with its tags in one call, so that none is ever without."""
        own = {"Name": "cnflow", **self._settings.tags, **network_tags()}
        marked = [{"ResourceType": kind.replace("_", "-"), "Tags": tag_list(own)}]
        answer = self._aws.call(f"create_{kind}", {**asked, "TagSpecifications": marked})
        found = {"vpc": "Vpc", "subnet": "Subnet", "route_table": "RouteTable", "internet_gateway": "InternetGateway"}
        made = answer[found[kind]] if is_listed else answer
        logger.info("Made the %s %s for machines of cnflow", kind.replace("_", " "), made[key])
        return str(made[key])

    def _tolerate(self, code: str, operation: str, arguments: Mapping[str, Any]) -> None:
        """Call *operation*; that it was done already is no error."""
        try:
            self._aws.call(operation, arguments)
        except BlockError as error:
            if code_of(error) != code:
                raise

    def _list(self, kinds: str, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        key = "".join(word.capitalize() for word in kinds.split("_"))
        return list(self._aws.pages(f"describe_{kinds}", {"Filters": list(filters)}, key))

    def _made(self) -> list[tuple[str, str]]:
        """Kind and id of all that cnflow has made for this owner, in the order in which it is removed."""
        filters = tag_filters(network_tags())
        listed = [(kind, self._list(f"{kind.replace('-', '_')}s", filters)) for kind in _REMOVALS]
        return [(kind, str(one[_REMOVALS[kind][1]])) for kind, found in listed for one in found]

    def _is_used(self, made: Sequence[tuple[str, str]]) -> bool:
        """True while a machine lives in a network or group that was made."""
        for kind, name in (("vpc", "vpc-id"), ("security-group", "instance.group-id")):
            ids = [one for found, one in made if found == kind]
            if not ids:
                continue
            living = ["pending", "running", "shutting-down", "stopping", "stopped"]
            filters = [{"Name": name, "Values": ids}, {"Name": "instance-state-name", "Values": living}]
            if list(self._aws.pages("describe_instances", {"Filters": filters}, "Reservations")):
                return True
        return False

    def _remove(self, kind: str, one: str) -> bool:
        """Remove *one*; False if something uses it, as for some seconds after its machines have ended."""
        call, key = _REMOVALS[kind]
        try:
            if kind == "internet-gateway":
                self._detach(one)
            elif kind == "route-table":
                self._disassociate(one)
            self._aws.call(call, {key: one})
        except BlockError as error:
            if code_of(error).endswith("NotFound"):
                return True
            logger.info("The %s %s is left: %s", kind, one, error)
            return False
        return True

    def _detach(self, gateway: str) -> None:
        described = self._aws.call("describe_internet_gateways", {"InternetGatewayIds": [gateway]})
        for attached in described["InternetGateways"][0].get("Attachments", ()):
            self._aws.call("detach_internet_gateway", {"InternetGatewayId": gateway, "VpcId": attached["VpcId"]})

    def _disassociate(self, table: str) -> None:
        described = self._aws.call("describe_route_tables", {"RouteTableIds": [table]})
        for one in described["RouteTables"][0].get("Associations", ()):
            if not one.get("Main"):
                self._aws.call("disassociate_route_table", {"AssociationId": one["RouteTableAssociationId"]})


# Kind -> its call and key, in the order in which they can be removed.
_REMOVALS = {
    "security-group": ("delete_security_group", "GroupId"),
    "subnet": ("delete_subnet", "SubnetId"),
    "route-table": ("delete_route_table", "RouteTableId"),
    "internet-gateway": ("delete_internet_gateway", "InternetGatewayId"),
    "vpc": ("delete_vpc", "VpcId"),
}
