"""Requests to Compute Engine, as its REST API takes them; pure: settings and a request for a machine in, a dict out.

::

    MachineRequest ──instance_for──> instance: labels, startup script, image, network, latest end
    zone/name <──id_of──> the instance's id for cnflow, since Compute Engine's calls need both

Fields: https://cloud.google.com/compute/docs/reference/rest/v1/instances. A network has no labels: its description has
the tags.
"""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING, Any

from cnflow.providers._shared.machines.tags import OWNER, ROLE, ROLE_NETWORK, tag_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.google_cloud import GoogleCloudProvider
    from cnflow.model.machine import MachineRequest

SSH_TAG = "cnflow-ssh"
"""Network tag of machines that the driver reaches by ssh; the rule of a network that cnflow made names it."""

SHORTEST_LIFE, LONGEST_LIFE = 30, 120 * 24 * 3600
"""Seconds, https://cloud.google.com/compute/docs/instances/limit-vm-runtime"""

_INTERNAL_RANGE = "10.128.0.0/9"  # of networks with automatic subnetworks, https://cloud.google.com/vpc/docs/subnets


def id_of(zone: str, name: str) -> str:
    """Return the id of the instance *name* in *zone*."""
    return f"{zone}/{name}"


def zone_and_name(machine: str) -> tuple[str, str]:
    """Return zone and name of the instance with the id *machine*."""
    zone, _, name = machine.rpartition("/")
    return zone, name


def last_part(url: str) -> str:
    """Return the name at the end of *url*, by which Compute Engine refers to a resource."""
    return url.rpartition("/")[2]


def request_id(token: str, earlier: str = "") -> str:
    """Return the id of a request: the same for the same token, and another one after *earlier* has failed."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cnflow:{token}:{earlier}"))


def labels_filter(tags: Mapping[str, str]) -> str:
    """Return the filter of a list that has what carries all of *tags*."""
    return " AND ".join(f'(labels.{name} = "{value}")' for name, value in sorted(tags.items()))


def image_url(settings: GoogleCloudProvider) -> str:
    """Return the path of the image; of a family, Compute Engine takes the newest."""
    if "/" in settings.machine_image:
        return settings.machine_image
    name = settings.machine_image or f"family/{settings.image_family}"
    return f"projects/{settings.image_project}/global/images/{name}"


def template_url(settings: GoogleCloudProvider, project: str) -> str:
    """Return the path of the instance template; empty if the settings name none."""
    name = settings.instance_template
    return name if "/" in name or not name else f"projects/{project}/global/instanceTemplates/{name}"


def network_name(tags: Mapping[str, str]) -> str:
    """Return the name of the network that machines of the owner in *tags* share."""
    return f"cnflow-{tag_value(tags[OWNER], longest=40).replace('_', '-')}"


def instance_for(request: MachineRequest, settings: GoogleCloudProvider) -> dict[str, Any]:
    """Return the instance that *request* asks for."""
    zone = request.placement.zone
    instance: dict[str, Any] = {
        "name": request.name,
        "machineType": f"zones/{zone}/machineTypes/{request.placement.instance_type}",
        "labels": {**settings.tags, **request.tags},
        "metadata": {"items": _metadata(request.user_data)},
        "scheduling": _scheduling(request, settings),
    }
    tags = [*settings.network_tags, *([SSH_TAG] if request.is_interchange else [])]
    if tags:
        instance["tags"] = {"items": tags}
    is_of_template = bool(settings.instance_template)
    if (
        not is_of_template
        or {"machine_image", "image_family", "image_project", "disk_size", "disk_type"} & settings.model_fields_set
    ):
        instance["disks"] = [_disk(settings, zone)]
    if (
        not is_of_template
        or settings.network
        or settings.subnetwork
        or settings.create_network
        or request.is_interchange
    ):
        instance["networkInterfaces"] = [_interface(request, settings)]
    if settings.service_account and not (is_of_template and "service_account" not in settings.model_fields_set):
        instance["serviceAccounts"] = [{"email": settings.service_account, "scopes": settings.scopes}]
    if settings.accelerator_type and settings.gpus and not request.is_interchange:
        kind = f"zones/{zone}/acceleratorTypes/{settings.accelerator_type}"
        instance["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": settings.gpus}]
    return _merge(instance, settings.instance_options)


def _merge(ours: dict[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return *ours* with the fields of *theirs* in it; a list or a value takes the place of the other."""
    merged = dict(ours)
    for name, value in theirs.items():
        both = isinstance(value, dict) and isinstance(ours.get(name), dict)
        merged[name] = _merge(ours[name], value) if both else value
    return merged


def _metadata(user_data: str) -> list[dict[str, str]]:
    # Google's agent runs a startup script at each start; a machine of cnflow has one.
    return [
        {"key": "startup-script", "value": user_data},
        {"key": "enable-oslogin", "value": "FALSE"},  # logins are those that the script makes
        {"key": "block-project-ssh-keys", "value": "TRUE"},
    ]


def _scheduling(request: MachineRequest, settings: GoogleCloudProvider) -> dict[str, Any]:
    is_moved = not request.placement.is_spot and not settings.gpus  # a machine with GPUs cannot be moved while it runs
    found: dict[str, Any] = {"automaticRestart": False, "onHostMaintenance": "MIGRATE" if is_moved else "TERMINATE"}
    if request.placement.is_spot:
        found |= {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"}
    if request.longest_life is not None:
        seconds = min(max(math.ceil(request.longest_life), SHORTEST_LIFE), LONGEST_LIFE)
        found |= {"maxRunDuration": {"seconds": str(seconds)}, "instanceTerminationAction": "DELETE"}
    return found


def _disk(settings: GoogleCloudProvider, zone: str) -> dict[str, Any]:
    made: dict[str, Any] = {"sourceImage": image_url(settings)}
    made["diskType"] = f"zones/{zone}/diskTypes/{settings.disk_type}"
    if settings.disk_size:
        made["diskSizeGb"] = str(settings.disk_size)
    return {"boot": True, "autoDelete": True, "initializeParams": made}


def _interface(request: MachineRequest, settings: GoogleCloudProvider) -> dict[str, Any]:
    found: dict[str, Any] = {"networkIP": request.private_address} if request.private_address else {}
    if settings.subnetwork:
        name = settings.subnetwork
        found["subnetwork"] = name if "/" in name else f"regions/{settings.region}/subnetworks/{name}"
    if settings.network or not settings.subnetwork:
        network = settings.network or (network_name(request.tags) if settings.create_network else "default")
        found["network"] = network if "/" in network else f"global/networks/{network}"
    if settings.public_addresses or request.is_interchange:
        found["accessConfigs"] = [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]
    return found


def network_for(tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the network that `create_network` makes: a subnetwork in each region, which costs nothing."""
    return {
        "name": network_name(tags),
        "autoCreateSubnetworks": True,
        "description": description_for(tags),
        "routingConfig": {"routingMode": "REGIONAL"},
    }


def firewalls_for(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rules of that network: machines reach each other, and ssh reaches those with `SSH_TAG`."""
    name = network_name(tags)
    shared = {"network": f"global/networks/{name}", "direction": "INGRESS", "description": description_for(tags)}
    inside = [{"IPProtocol": protocol} for protocol in ("tcp", "udp", "icmp")]
    return [
        {**shared, "name": f"{name}-internal", "sourceRanges": [_INTERNAL_RANGE], "allowed": inside},
        {
            **shared,
            "name": f"{name}-ssh",
            "sourceRanges": ["0.0.0.0/0"],
            "targetTags": [SSH_TAG],
            "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        },
    ]


def description_for(tags: Mapping[str, str]) -> str:
    """Return the description of a resource that has no labels, which all runs of the owner in *tags* share."""
    return json.dumps({OWNER: tags[OWNER], ROLE: ROLE_NETWORK}, sort_keys=True)


def is_tagged(description: str, tags: Mapping[str, str]) -> bool:
    """Return whether a resource with that description is cnflow's, and its owner the one in *tags*."""
    try:
        found = json.loads(description)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get(ROLE) == ROLE_NETWORK and found.get(OWNER) == tags.get(OWNER)
