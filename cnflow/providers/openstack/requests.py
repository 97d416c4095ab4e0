"""Makes what is sent to OpenStack, from values alone: asks no cloud and needs no SDK.

::

    MachineRequest ─┐
    settings ───────┼─ `server_for` ──> body of POST /servers
    Found ──────────┘                   ids of image, flavors, networks; names, where nothing was asked yet
    tags, settings ── `network_parts` ──> network, subnet, router and security group of ``create_network``
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cnflow.providers.openstack.tags import TOKEN, description_of, server_tag, server_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.openstack import OpenStackProvider
    from cnflow.model.machine import MachineRequest

SSH = 22
SUBNET = "192.168.77.0/24"
"""Of the network that cnflow makes; it is behind a router of its own, so that another may have the same addresses."""


@dataclass(frozen=True)
class Found:
    """Ids of the project for the names of the settings."""

    image: str
    """Id."""

    flavors: Mapping[str, str] = field(default_factory=dict)
    """Id by name."""

    networks: Sequence[str] | None = None
    """Ids; None leaves the choice to the cloud."""

    security_groups: Sequence[str] = ()
    """Names or ids."""


def server_for(request: MachineRequest, settings: OpenStackProvider, found: Found) -> dict[str, Any]:
    """Return the body that asks for one machine.

    Args:
        request: for the machine.
        settings: what the user wrote.
        found: what its names stand for.
    """
    placement = request.placement
    server: dict[str, Any] = {
        "name": request.name,
        "flavorRef": found.flavors.get(placement.instance_type, placement.instance_type),
        "metadata": metadata_of(request, settings),
        "tags": [server_tag(TOKEN, request.token), *server_tags(request.tags)],
        "user_data": base64.b64encode(request.user_data.encode()).decode(),
        "networks": _networks(request, found),
        **_disk(settings, found.image),
    }
    if found.security_groups:
        server["security_groups"] = [{"name": name} for name in found.security_groups]
    if settings.key_name is not None:
        server["key_name"] = settings.key_name
    if placement.zone:
        server["availability_zone"] = placement.zone
    if settings.config_drive:
        server["config_drive"] = True
    hints = {} if settings.server_group is None else {"os:scheduler_hints": {"group": settings.server_group}}
    return {"server": {**server, **settings.server}, **hints}


def metadata_of(request: MachineRequest, settings: OpenStackProvider) -> dict[str, str]:
    """Return the metadata of a server: cnflow's tags, and those of the user."""
    return {**settings.tags, **request.tags, TOKEN: request.token}


def named_in(settings: OpenStackProvider) -> Found:
    """Return the names of the settings in place of ids, for a preview."""
    networks = ["NETWORK"] if settings.create_network else settings.networks or None
    return Found(settings.image_id, networks=networks, security_groups=settings.security_groups)


def network_parts(tags: Mapping[str, str], name: str, external: str) -> dict[str, dict[str, Any]]:
    """Return the bodies for the network of ``create_network``, by kind, in the order in which they are made.

    Args:
        tags: carried by each in its description.
        name: of each.
        external: id of the network through which the router reaches the internet.
    """
    common = {"name": name, "description": description_of(tags)}
    return {
        "network": dict(common),
        "subnet": {**common, "ip_version": 4, "cidr": SUBNET},
        "router": {**common, "external_gateway_info": {"network_id": external}},
        "security_group": dict(common),
    }


def rules_of(group: str) -> list[dict[str, Any]]:
    """Return the rules of the security group *group*: its machines reach each other, and everybody reaches port 22."""
    common = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"}
    return [
        {**common, "remote_group_id": group},
        {**common, "protocol": "tcp", "port_range_min": SSH, "port_range_max": SSH, "remote_ip_prefix": "0.0.0.0/0"},
    ]


def address_for(tags: Mapping[str, str], external: str, port: str) -> dict[str, Any]:
    """Return the body for a floating address of the network *external* on *port*."""
    return {"floating_network_id": external, "port_id": port, "description": description_of(tags)}


def _networks(request: MachineRequest, found: Found) -> str | list[dict[str, str]]:
    """Return the field for the networks; the wanted address is one of the first."""
    if found.networks is None:
        return "auto"
    wanted = {"fixed_ip": request.private_address} if request.private_address else {}
    first, *others = found.networks
    return [{"uuid": first, **wanted}, *({"uuid": each} for each in others)]


def _disk(settings: OpenStackProvider, image: str) -> dict[str, Any]:
    """Return the fields for the first disk: the flavor's with a copy of the image, or a volume made from it."""
    if settings.disk_size is None:
        return {"imageRef": image}
    volume = {
        "boot_index": 0,
        "uuid": image,
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": settings.disk_size,
        "delete_on_termination": True,
    }
    if settings.volume_type is not None:
        volume["volume_type"] = settings.volume_type
    return {"block_device_mapping_v2": [volume]}
