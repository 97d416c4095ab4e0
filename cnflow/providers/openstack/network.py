"""Networks, security groups and floating addresses of a project.

::

    prepare(tags) ──> names of the settings ──> ids
                  └─> create_network: one for all runs of this user, found by the tags of its owner, or made
                      network ── subnet ── router ── external network;  security group
    give_address ───> a floating address on the port of the interchange's machine
    remove(tags) ───> what carries them and has no machines: rules of the order are the reverse
"""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockRejectedError, ProviderBusyError
from cnflow.providers._shared.machines.tags import OWNER, ROLE, ROLE_NETWORK
from cnflow.providers.openstack import requests
from cnflow.providers.openstack.errors import ApiError
from cnflow.providers.openstack.tags import is_described
from cnflow.text import did_you_mean, elide_middle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.config.openstack import OpenStackProvider
    from cnflow.providers.openstack.client import OpenStackClient

logger = logging.getLogger(__name__)

_PATHS = {
    "network": "/networks",
    "subnet": "/subnets",
    "router": "/routers",
    "security_group": "/security-groups",
    "floatingip": "/floatingips",
}
_REMOVED = ("router", "subnet", "network", "security_group")
_PORT_WITHIN, _PAUSE = 30.0, 0.5


class Networks:
    """What neutron has for the machines of a project.

    Args:
        client: of the cloud.
        settings: what the user wrote.
    """

    def __init__(self, client: OpenStackClient, settings: OpenStackProvider) -> None:
        self._client = client
        self._settings = settings
        self._lock = threading.Lock()
        self._ids: list[str] | None = None
        self._groups: list[str] = list(settings.security_groups)
        self._is_prepared = False
        self._pause = threading.Event()

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Find the networks of the settings, or make one; once.

        Raises:
            BlockRejectedError: there is no such network.
            ApiError, BlockError: refused, or no answer.
        """
        with self._lock:
            if self._is_prepared:
                return
            if self._settings.create_network:
                network, group = self._find_or_make(tags)
                self._ids, self._groups = [network], self._groups or [group]
            elif self._settings.networks:
                self._ids = [self._network(name) for name in self._settings.networks]
            self._is_prepared = True

    def ids(self) -> Sequence[str] | None:
        """Ids of the machines' networks; None leaves the choice to the cloud."""
        if not self._is_prepared and (self._settings.networks or self._settings.create_network):
            raise BlockRejectedError("The networks are not prepared.")
        return self._ids

    def groups(self) -> Sequence[str]:
        """Security groups of the machines."""
        return self._groups

    def described(self) -> str:
        """Network that the settings lead to; nothing is made.

        Raises:
            BlockRejectedError: there is no such network.
            ApiError, BlockError: refused, or no answer.
        """
        outside = self._settings.floating_network
        if outside is not None:
            self._network(outside)
        address = f"; the interchange gets a floating address of {outside}" if outside else ""
        if self._settings.create_network:
            self._external()
            return f"one is made for the machines{address}"
        names = [f"{name} ({self._network(name)})" for name in self._settings.networks]
        return (", ".join(names) or "left to the cloud") + address

    def give_address(self, server: str, tags: Mapping[str, str]) -> None:
        """Put a floating address on the first port of *server*, unless it has one or the settings ask for none.

        Raises:
            ApiError, BlockError: refused, or no answer.
        """
        if self._settings.floating_network is None:
            return
        port = self._port_of(server)
        if any(self._client.pages("network", _PATHS["floatingip"], "floatingips", {"port_id": port})):
            return
        external = self._network(self._settings.floating_network)
        body = {"floatingip": requests.address_for(tags, external, port)}
        self._client.request("network", "POST", _PATHS["floatingip"], body=body)

    def take_address(self, server: str) -> None:
        """Give back the floating addresses of cnflow's on *server*.

        Raises:
            ApiError, BlockError: refused, or no answer.
        """
        if self._settings.floating_network is None:
            return
        for port in self._client.pages("network", "/ports", "ports", {"device_id": server}):
            for address in self._client.pages("network", _PATHS["floatingip"], "floatingips", {"port_id": port["id"]}):
                if is_described(str(address.get("description")), {}) and "cnflow-" in str(address.get("description")):
                    self._delete("floatingip", str(address["id"]))

    def unused(self, tags: Mapping[str, str]) -> list[str]:
        """Names of what `remove` would remove.

        Raises:
            ApiError, BlockError: refused, or no answer.
        """
        return [f"{kind.replace('_', ' ')} {_name(each)}" for kind, each in self._unused(tags)]

    def remove(self, tags: Mapping[str, str]) -> list[str]:
        """Remove what carries *tags* and has no machines, and return names of it.

        Raises:
            ApiError, BlockError: refused, or no answer.
        """
        removed = []
        for kind, each in self._unused(tags):
            try:
                self._detach(kind, str(each["id"]))
                self._delete(kind, str(each["id"]))
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:  # a machine came in between
                    raise
                logger.info("%s %s is in use and stays: %s", kind, _name(each), error)
            else:
                removed.append(f"{kind.replace('_', ' ')} {_name(each)}")
        return removed

    def _unused(self, tags: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
        owned = {OWNER: tags[OWNER]} if OWNER in tags else tags  # an address has further tags of its machine
        addresses = [("floatingip", each) for each in self._described("floatingip", owned) if not each.get("port_id")]
        parts = [(kind, each) for kind in _REMOVED for each in self._described(kind, tags)]
        busy = {str(each["id"]) for kind, each in parts if kind == "network" and self._has_machines(str(each["id"]))}
        return addresses if busy else [*addresses, *parts]

    def _described(self, kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
        found = self._client.pages("network", _PATHS[kind], f"{kind}s")
        return [each for each in found if tags and is_described(str(each.get("description") or ""), tags)]

    def _has_machines(self, network: str) -> bool:
        ports = self._client.pages("network", "/ports", "ports", {"network_id": network})
        return any(str(port.get("device_owner", "")).startswith("compute:") for port in ports)

    def _find_or_make(self, tags: Mapping[str, str]) -> tuple[str, str]:
        """Return ids of network and security group of this user's; what is missing of them is made."""
        ours = {OWNER: tags.get(OWNER, ""), ROLE: ROLE_NETWORK}
        external = self._external()
        parts = requests.network_parts({**tags, **ours}, f"cnflow-{tags.get(OWNER, '')}"[:60], external)
        ids: dict[str, str] = {}
        for kind, body in parts.items():
            found = self._described(kind, ours)
            more = {"network_id": ids["network"]} if kind == "subnet" else {}
            made = found[0] if found else self._make(kind, {**body, **more})
            ids[kind] = str(made["id"])
            if kind == "router":
                self._attach(ids["router"], ids["subnet"])
            if kind == "security_group":
                self._open(ids["security_group"])
        return ids["network"], ids["security_group"]

    def _make(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = self._client.request("network", "POST", _PATHS[kind], body={kind: body})[kind]
        return made

    def _attach(self, router: str, subnet: str) -> None:
        body = {"subnet_id": subnet}
        try:
            self._client.request("network", "PUT", f"/routers/{router}/add_router_interface", body=body)
        except ApiError as error:
            if error.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT} or "already" not in error.words:
                raise

    def _open(self, group: str) -> None:
        for rule in requests.rules_of(group):
            try:
                self._client.request("network", "POST", "/security-group-rules", body={"security_group_rule": rule})
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT:  # the rule exists
                    raise

    def _detach(self, kind: str, id_: str) -> None:
        """Take the subnets off a router, which could not be deleted with them."""
        if kind != "router":
            return
        query = {"device_id": id_, "device_owner": "network:router_interface"}
        for port in self._client.pages("network", "/ports", "ports", query):
            body = {"port_id": port["id"]}
            self._client.request("network", "PUT", f"/routers/{id_}/remove_router_interface", body=body)

    def _delete(self, kind: str, id_: str) -> None:
        try:
            self._client.request("network", "DELETE", f"{_PATHS[kind]}/{id_}")
        except ApiError as error:
            if not error.is_missing:
                raise

    def _network(self, wanted: str) -> str:
        known = list(self._client.pages("network", "/networks", "networks"))
        found = next((each for each in known if wanted in {each["id"], each.get("name")}), None)
        if found is None:
            names = sorted(str(each.get("name")) for each in known)
            raise BlockRejectedError(
                f"The project sees no network {wanted!r}.{did_you_mean(wanted, names)} "
                f"It sees: {', '.join(elide_middle(names, 10)) or 'none'}."
            )
        return str(found["id"])

    def _external(self) -> str:
        if self._settings.floating_network is not None:
            return self._network(self._settings.floating_network)
        known = list(self._client.pages("network", "/networks", "networks", {"router:external": True}))
        if len(known) != 1:
            names = ", ".join(sorted(str(each.get("name")) for each in known)) or "none"
            raise BlockRejectedError(
                f"The project sees {len(known)} external networks ({names}); name the one to the internet by "
                "floating_network=."
            )
        return str(known[0]["id"])

    def _port_of(self, server: str) -> str:
        """Return the id of the first port of *server*, which nova makes while it builds it."""
        for _ in range(int(_PORT_WITHIN / _PAUSE)):
            port = next(self._client.pages("network", "/ports", "ports", {"device_id": server}), None)
            if port is not None:
                return str(port["id"])
            self._pause.wait(_PAUSE)
        raise ProviderBusyError(f"The server {server} has got no port on a network within {_PORT_WITHIN:.0f} s.")


def _name(thing: Mapping[str, Any]) -> str:
    return str(thing.get("name") or thing.get("floating_ip_address") or thing["id"])
