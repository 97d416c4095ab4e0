"""Neutron's part of the stand-in: networks, routers, groups, ports and floating addresses are records."""

import itertools
import threading

from tests.services.openstack.refusal import Refusal, chosen, paged

KINDS = {
    "networks": "network",
    "subnets": "subnet",
    "routers": "router",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "ports": "port",
    "floatingips": "floatingip",
}
FILTERS = {"device_id", "device_owner", "network_id", "port_id", "router:external", "name"}


class Neutron:
    """Networks of a project; ports of servers are made by `Nova`."""

    def __init__(self, nova):
        self.nova = nova
        self.things = {kind: {} for kind in KINDS.values()}
        self.most = {}  # kind -> quota
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self.campus = self.add("network", name="campus", description="", **{"router:external": False})["id"]
        self.outside = self.add("network", name="outside", description="", **{"router:external": True})["id"]
        self.add("security_group", name="default", description="Default security group")

    def add(self, kind, **values):
        """Add a thing and return it."""
        with self._lock:
            made = {"id": f"{kind}-{next(self._numbers)}", "description": "", "name": "", **values}
            self.things[kind][made["id"]] = made
        return made

    def made(self):
        """Things beside those of the start, as kind and description."""
        first = {self.campus, self.outside}
        return [
            (kind, each["description"])
            for kind, things in self.things.items()
            for each in things.values()
            if each["id"] not in first and each["name"] != "default" and kind not in {"port", "security_group_rule"}
        ]

    def ports_of(self, device):
        return [each for each in self.things["port"].values() if each["device_id"] == device]

    def address_of(self, port):
        found = [each for each in self.things["floatingip"].values() if each.get("port_id") == port]
        return found[0]["floating_ip_address"] if found else ""

    def drop_ports(self, device):
        """Remove the ports of a server that is gone; its floating addresses stay, without a port."""
        with self._lock:
            for port in self.ports_of(device):
                del self.things["port"][port["id"]]
                for address in self.things["floatingip"].values():
                    if address.get("port_id") == port["id"]:
                        address["port_id"] = None

    def handle(self, method, path, query, body):
        """Status and answer of one request."""
        collection, *rest = path.strip("/").removesuffix(".json").split("/")
        kind = KINDS.get(collection)
        if kind is None:
            raise Refusal(404, "The resource could not be found.")
        with self._lock:
            if method == "GET" and not rest:
                entries = [self._shown(kind, each) for each in self.things[kind].values()]
                return 200, paged(chosen(entries, query, FILTERS), query, collection.replace("-", "_"))
            if method == "POST":
                return 201, {kind: self._create(kind, body[kind])}
            if rest and rest[0] not in self.things[kind]:
                raise Refusal(404, f"{kind} {rest[0]} could not be found")
            if method == "PUT" and len(rest) > 1:
                return 200, self._interface(rest[0], rest[1], body)
            if method == "DELETE":
                self._delete(kind, rest[0])
                return 204, None
        raise Refusal(404, "The resource could not be found.")

    def _shown(self, kind, thing):
        return {**thing, "port_id": thing.get("port_id")} if kind == "floatingip" else thing

    def _create(self, kind, values):
        if len(values.get("description", "")) > 255:
            raise Refusal(400, "Invalid input for description. Reason: exceeds maximum length of 255.")
        if len(self.things[kind]) >= self.most.get(kind, 1000):
            raise Refusal(409, f"Quota exceeded for resources: ['{kind}'].")
        if kind == "security_group_rule" and values in self._rules():
            raise Refusal(409, "Security group rule already exists.")
        more = {}
        if kind == "floatingip":
            more = {"floating_ip_address": f"198.51.100.{len(self.things[kind]) + 1}", "name": ""}
        if kind == "network":
            more = {"router:external": False}
        made = self.add(kind, **values, **more)
        if kind == "floatingip" and values.get("port_id"):
            self.nova.on_floating(self.things["port"][values["port_id"]]["device_id"])
        return made

    def _rules(self):
        known = self.things["security_group_rule"].values()
        return [{k: v for k, v in each.items() if k not in {"id", "description", "name"}} for each in known]

    def _interface(self, router, action, body):
        if action == "add_router_interface":
            subnet = self.things["subnet"][body["subnet_id"]]
            owner = {"device_id": router, "device_owner": "network:router_interface"}
            if any(each["network_id"] == subnet["network_id"] for each in self.ports_of(router)):
                raise Refusal(400, f"Bad router request: Router already has a port on subnet {subnet['id']}.")
            port = self.add("port", network_id=subnet["network_id"], **owner)
            return {"port_id": port["id"], "subnet_id": subnet["id"]}
        if action == "remove_router_interface":
            del self.things["port"][body["port_id"]]
            return {"port_id": body["port_id"]}
        raise Refusal(404, "The resource could not be found.")

    def _delete(self, kind, id_):
        ports = list(self.things["port"].values())
        thing = self.things[kind][id_]
        network = thing.get("network_id") if kind == "subnet" else id_ if kind == "network" else None
        if network and any(port["network_id"] == network for port in ports):
            raise Refusal(409, f"Unable to complete operation on {kind} {id_}. There are ports in use.")
        if kind == "router" and self.ports_of(id_):
            raise Refusal(409, f"Router {id_} still has ports")
        del self.things[kind][id_]
        if kind == "network":
            self.things["subnet"] = {k: v for k, v in self.things["subnet"].items() if v.get("network_id") != id_}
