"""Chooses the addresses at which containers reach this machine. No I/O: an engine's answers are arguments."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from cnflow.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# https://docs.docker.com/desktop/features/networking/#i-want-to-connect-from-a-container-to-a-service-on-the-host
DESKTOP_HOST = "host.docker.internal"


def is_desktop(info: Mapping[str, Any]) -> bool:
    """Return True if the engine is Docker Desktop's, which runs in a virtual machine of its own."""
    return "Docker Desktop" in str(info.get("OperatingSystem", ""))


def has_no_gateway(network: str) -> bool:
    """Return True for a mode that is no network of the engine: the machine's own, another container's, or a user's."""
    return network in {"host", "pasta", "slirp4netns"} or ":" in network


def reachable_hosts(gateways: Sequence[str], others: Sequence[str], *, local: bool | None) -> list[str]:
    """Return the addresses to offer, likeliest first.

    Args:
        gateways: addresses of this machine that are the network's way out. A remote engine's own bridge often has the
            same address as ours, which then does not lead here.
        others: all addresses of this machine.
        local: True if the engine runs here; None if it may.
    """
    outside = [address for address in others if not is_loopback(address)]
    if local is False:
        return outside
    return list(gateways) if local and gateways else list(dict.fromkeys([*gateways, *outside]))


def gateways_of(network: Mapping[str, Any]) -> list[str]:
    """Return the IPv4 gateways of an inspected network; where it names none, the first address of its subnet.

    An engine with default settings gives this address to its bridge, and leaves it out of its answer.
    """
    blocks = (network.get("IPAM") or {}).get("Config") or []
    gateways = [str(block.get("Gateway") or _first_address(str(block.get("Subnet", "")))) for block in blocks]
    return [address for gateway in gateways if (address := gateway.partition("/")[0]) and ":" not in address]


def _first_address(subnet: str) -> str:
    try:
        return str(next(ipaddress.ip_network(subnet).hosts(), ""))
    except ValueError:
        return ""
