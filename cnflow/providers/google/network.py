"""The network that `create_network` makes: one for each owner, shared by the owner's runs.

::

    make ────> network, rules for ssh and among machines ── each unless it is there
    remove ──> nothing while a machine of the owner exists; else rules, then the network

A machine that is started between the look and the removal keeps the network: none that is in use is deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.providers._shared.machines.tags import OWNER
from cnflow.providers.google import requests
from cnflow.providers.google.errors import CallFailedError, error_for, is_absent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.providers.google.client import ComputeClient

_EXISTS = 409
_IN_USE = {"resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "resourceNotReady"}


def make(client: ComputeClient, tags: Mapping[str, str]) -> None:
    """Make network and rules, unless they are there."""
    network = requests.network_for(tags)
    _insert(client, "NetworksClient", "network_resource", network)
    for rule in requests.firewalls_for(tags):
        _insert(client, "FirewallsClient", "firewall_resource", rule)


def names(client: ComputeClient, tags: Mapping[str, str]) -> Sequence[str]:
    """Return the names of networks of the owner in *tags*."""
    return [each["name"] for each in _tagged(client, "NetworksClient", tags)]


def remove(client: ComputeClient, tags: Mapping[str, str]) -> Sequence[str]:
    """Remove networks of the owner in *tags* that no machine is in; return their names."""
    networks = names(client, tags)
    if not networks or _is_used(client, tags):
        return []
    for rule in _tagged(client, "FirewallsClient", tags):
        _delete(client, "FirewallsClient", "firewall", rule["name"])
    return [name for name in networks if _delete(client, "NetworksClient", "network", name)]


def _is_used(client: ComputeClient, tags: Mapping[str, str]) -> bool:
    wanted = requests.labels_filter({OWNER: tags[OWNER]})
    return bool(_pages(client, "list machines", "InstancesClient", "aggregated_list", filter=wanted))


def _tagged(client: ComputeClient, kind: str, tags: Mapping[str, str]) -> Sequence[dict[str, Any]]:
    found = _pages(client, "list networks and their rules", kind, "list")
    return [each for each in found if requests.is_tagged(each.get("description", ""), tags)]


def _insert(client: ComputeClient, kind: str, field: str, resource: Mapping[str, Any]) -> None:
    doing = f"make {resource['name']}"
    try:
        client.run(doing, kind, "insert_unary", project=client.project, **{field: resource})
    except CallFailedError as error:
        if error.failure.status != _EXISTS:
            raise error_for(error.failure, doing) from error


def _delete(client: ComputeClient, kind: str, field: str, name: str) -> bool:
    try:
        client.run(f"remove {name}", kind, "delete_unary", project=client.project, **{field: name})
    except CallFailedError as error:
        if error.failure.reason in _IN_USE:
            return False
        if not is_absent(error.failure):
            raise error_for(error.failure, f"remove {name}") from error
    return True


def _pages(client: ComputeClient, doing: str, kind: str, method: str, **fields: str) -> Sequence[dict[str, Any]]:
    try:
        return client.pages(doing, kind, method, project=client.project, **fields)
    except CallFailedError as error:
        raise error_for(error.failure, doing) from error
