"""How a container gets back to this machine."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import docker
import docker.errors

from cnflow.addresses import LOOPBACK, addresses_of_this_machine, is_loopback, is_own
from cnflow.errors import BlockRejectedError
from cnflow.providers.docker.client import is_local, rejecting
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config import DockerProvider

# https://docs.docker.com/desktop/features/networking/#i-want-to-connect-from-a-container-to-a-service-on-the-host
DESKTOP_HOST = "host.docker.internal"


def endpoint_hosts(client: docker.DockerClient, settings: DockerProvider) -> list[str]:
    """Addresses of this machine that containers of the engine could reach, likeliest first.

    Raises:
        BlockRejectedError: the engine has no network of that name.
        BlockError: it does not answer.
    """
    with rejecting("tell of itself", settings):
        if "Docker Desktop" in str(client.info().get("OperatingSystem", "")):
            return [DESKTOP_HOST]
    local = is_local(client)
    network = settings.network or "bridge"
    if network == "host" and local:
        return [LOOPBACK]
    gateways = [] if network == "host" or ":" in network else gateways_of(_inspect(client, network, settings))
    return hosts([gateway for gateway in gateways if is_own(gateway)], addresses_of_this_machine(), local=local)


def hosts(gateways: Sequence[str], others: Sequence[str], *, local: bool | None) -> list[str]:
    """Which addresses to offer.

    Args:
        gateways: addresses of this machine that are the network's way out. A remote engine's own bridge often has the
            same address as ours, which then is not the way here.
        others: all addresses of this machine.
        local: whether the engine runs here; None when it may.
    """
    outside = [address for address in others if not is_loopback(address)]
    if local is False:
        return outside
    return list(gateways) if local and gateways else list(dict.fromkeys([*gateways, *outside]))


def gateways_of(network: Mapping[str, Any]) -> list[str]:
    """The IPv4 gateways of an inspected network; where it names none, the first address of its subnet.

    An engine that was never told otherwise gives that one to its bridge, and then leaves it out of the answer.
    """
    blocks = (network.get("IPAM") or {}).get("Config") or []
    found = [str(block.get("Gateway") or _first_of(str(block.get("Subnet", "")))) for block in blocks]
    return [address for gateway in found if (address := gateway.partition("/")[0]) and ":" not in address]


def _first_of(subnet: str) -> str:
    try:
        return str(next(ipaddress.ip_network(subnet).hosts(), ""))
    except ValueError:
        return ""


def _inspect(client: docker.DockerClient, network: str, settings: DockerProvider) -> Mapping[str, Any]:
    with rejecting("tell of its network", settings):
        try:
            found: Mapping[str, Any] = client.api.inspect_network(network)
        except docker.errors.NotFound as error:
            known = sorted(str(one["Name"]) for one in client.api.networks())
            raise BlockRejectedError(
                f"The Docker engine has no network {network!r}.{did_you_mean(network, known)} "
                f"Known: {', '.join(known)}.",
            ) from error
        return found
