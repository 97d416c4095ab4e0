"""Nova's part of the stand-in: servers, flavors, quotas; a server is a record, or a container that runs its user data.

::

    POST /servers ──> BUILD/scheduling ── a host has room ──> BUILD/spawning ──> ACTIVE ──> SHUTOFF   halted from inside
                            └──────────── none ─────────────> ERROR "No valid host was found. "
    DELETE ─────────> gone from all lists, as its ports

Forms of answers are in tests/unit/providers/openstack/recorded/nova-34.json.
"""

import base64
import binascii
import datetime as dt
import itertools
import threading
import uuid

from tests.services.openstack.refusal import Refusal, chosen, paged

KNOWN = {
    *("name", "flavorRef", "imageRef", "metadata", "tags", "user_data", "networks", "security_groups", "key_name"),
    *("availability_zone", "config_drive", "block_device_mapping_v2", "description"),
}
LONGEST_TAG, LONGEST_USER_DATA = 60, 65535
SWEEP = 0.3


def now():
    return dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


class Nova:
    """Servers of a project.

    Args:
        machines: as of tests/services/machines/vms.py: `start`, `running`, `make_network`, `remove`; None runs nothing.
        on_change: called with a text for each server that is started or ended.
    """

    def __init__(self, machines, on_change):
        self.machines, self.on_change = machines, on_change
        self.servers, self.running = {}, {}
        self.flavors = [
            flavor("m1.tiny", 1, 1024, 10),
            flavor("m1.small", 2, 2048, 20),
            flavor("m1.large", 8, 16384, 80),
        ]
        self.limits = {"maxTotalInstances": 50, "maxTotalCores": 100, "maxTotalRAMSize": 1000000}
        self.zones, self.keys = {"nova": None, "east": None}, {"ann"}
        """Zone -> hosts' room, in servers; None is any number."""

        self.taken = set()  # addresses in use
        self.scheduling_time = 0.2
        self.facts = None  # makes the facts of a machine's metadata server
        self.kind = None
        self.neutron = self.glance = None
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, daemon=True)
        self._numbers = itertools.count(1)

    @property
    def room(self):
        return self.zones["nova"]

    @room.setter
    def room(self, value):
        self.zones["nova"] = value

    def start(self):
        if self.machines is not None:
            self.machines.make_network()
        self._sweeper.start()

    def stop(self):
        self._stopped.set()
        self._sweeper.join()
        if self.machines is not None:
            self.machines.remove()

    def halt(self, id_):
        """End a server from inside, as by ``shutdown``."""
        self._end(id_, "SHUTOFF")

    def lose_host(self, id_):
        """The host of a server is gone."""
        self._end(id_, "ERROR", "The host of the instance is down")

    def alive(self):
        """Servers that are there, as names."""
        with self._lock:
            return [each["name"] for each in self.servers.values()]

    def on_floating(self, id_):
        with self._lock:
            self._address(self.servers[id_])

    def handle(self, method, path, query, body):  # noqa: PLR0911 - a table of paths
        """Status and answer of one request."""
        match method, path.strip("/").split("/"):
            case "GET", ["flavors", "detail"]:
                return 200, paged(chosen(self.flavors, query, ()), query, "flavors")
            case "GET", ["limits"]:
                return 200, {"limits": {"rate": [], "absolute": self._limits()}}
            case "GET", ["os-keypairs", name] if name in self.keys:
                return 200, {"keypair": {"name": name}}
            case "GET", ["servers", "detail"]:
                return 200, self._list(query)
            case "POST", ["servers"]:
                return 202, {"server": self.create(body["server"])}
            case "GET", ["servers", id_]:
                return 200, {"server": self._server(id_)["shown"]}
            case "DELETE", ["servers", id_]:
                self._delete(id_)
                return 204, None
            case "POST", ["servers", id_, "action"]:
                return self._act(self._server(id_), body)
        raise Refusal(404, f"{path} could not be found.")

    def _list(self, query):
        tags = {tag for name, value in query if name == "tags" for tag in value.split(",")}
        with self._lock:
            found = [each["shown"] for each in self.servers.values() if tags <= set(each["tags"])]
        return paged(chosen(found, [pair for pair in query if pair[0] != "tags"], ()), query, "servers")

    def _server(self, id_):
        with self._lock:
            if id_ not in self.servers:
                raise Refusal(404, f"Instance {id_} could not be found.")
            return self.servers[id_]

    def create(self, asked):
        """Accept a server, which is built in a thread."""
        kind = self._checked(asked)
        with self._lock:
            self._charge(kind)
            id_, zone = str(uuid.uuid4()), asked.get("availability_zone") or "nova"
            shown = shown_of(id_, asked, kind, zone)
            user_data = base64.b64decode(asked.get("user_data") or "")
            server = {"name": asked["name"], "tags": asked.get("tags", []), "shown": shown, "kind": kind}
            self.servers[id_] = server
            self.on_change(f"created {asked['name']}")
        threading.Thread(target=self._build, args=(id_, zone, user_data, asked), daemon=True).start()
        groups = asked.get("security_groups") or [{"name": "default"}]
        return {"id": id_, "OS-DCF:diskConfig": "MANUAL", "security_groups": groups}

    def _checked(self, asked):
        """The flavor of a request that is in order."""
        if unknown := asked.keys() - KNOWN:
            words = f"Additional properties are not allowed ({min(unknown)!r} was unexpected)"
            raise Refusal(400, f"Invalid input for field/attribute server. Value: {asked}. {words}")
        if long := [tag for tag in asked.get("tags", []) if len(tag) > LONGEST_TAG or set(tag) & set(",/")]:
            raise Refusal(400, f"Invalid input for field/attribute 0. Value: {long[0]}. {long[0]!r} is too long")
        if len(asked.get("user_data") or "") > LONGEST_USER_DATA:
            raise Refusal(400, f"Invalid input for field/attribute user_data. Value: {asked['user_data'][:9]}")
        try:
            base64.b64decode(asked.get("user_data") or "", validate=True)
        except binascii.Error:
            raise Refusal(400, "User data needs to be valid base 64.") from None
        kind = next((each for each in self.flavors if each["id"] == asked["flavorRef"]), None)
        if kind is None:
            raise Refusal(400, f"Flavor {asked['flavorRef']} could not be found.")
        volume = (asked.get("block_device_mapping_v2") or [{}])[0]
        if (asked.get("imageRef") or volume.get("uuid")) not in {image["id"] for image in self.glance.images}:
            raise Refusal(400, "Can not find requested image")
        if (asked.get("availability_zone") or "nova") not in self.zones:
            raise Refusal(400, "The requested availability zone is not available")
        if asked.get("key_name") not in {None, *self.keys}:
            raise Refusal(400, "Invalid key_name provided.")
        self._check_network(asked)
        return kind

    def _check_network(self, asked):
        things = self.neutron.things
        groups = {value for each in things["security_group"].values() for value in (each["id"], each["name"])}
        for group in asked.get("security_groups", ()):
            if group["name"] not in groups:
                raise Refusal(400, f"Unable to find security_group with name or id {group['name']!r}")
        for network in asked["networks"] if isinstance(asked["networks"], list) else ():
            if network["uuid"] not in things["network"]:
                raise Refusal(400, f"Network {network['uuid']} could not be found.")
            if network.get("fixed_ip") in self.taken:
                raise Refusal(400, f"Fixed IP address {network['fixed_ip']} is already in use on instance x.")

    def _limits(self):
        used = [each["kind"] for each in self.servers.values()]
        return {
            **self.limits,
            "totalInstancesUsed": len(used),
            "totalCoresUsed": sum(kind["vcpus"] for kind in used),
            "totalRAMUsed": sum(kind["ram"] for kind in used),
        }

    def _charge(self, kind):
        limits = self._limits()
        for name, most, used, more in (
            ("instances", "maxTotalInstances", "totalInstancesUsed", 1),
            ("cores", "maxTotalCores", "totalCoresUsed", kind["vcpus"]),
            ("ram", "maxTotalRAMSize", "totalRAMUsed", kind["ram"]),
        ):
            if limits[used] + more > limits[most]:
                already = f"already used {limits[used]} of {limits[most]} {name}"
                raise Refusal(403, f"Quota exceeded for {name}: Requested {more}, but {already}")

    def _build(self, id_, zone, user_data, asked):
        if self._stopped.wait(self.scheduling_time):
            return
        with self._lock:
            room = self.zones[zone]
            if id_ not in self.servers:
                return
            if room == 0:
                self._end(id_, "ERROR", "No valid host was found. ")
                return
            if room is not None:
                self.zones[zone] = room - 1
            self.servers[id_]["shown"].update({"OS-EXT-STS:task_state": "spawning"})
            network = asked["networks"] if isinstance(asked["networks"], list) else [{"uuid": self.neutron.campus}]
            self.neutron.add("port", network_id=network[0]["uuid"], device_id=id_, device_owner="compute:nova")
        try:
            machine = None if self.machines is None else self._boot(id_, user_data)
        except Exception as error:  # a container that does not start is a server in ERROR
            self._end(id_, "ERROR", f"Build of instance {id_} aborted: {error}")
            return
        self._activate(id_, machine)

    def _boot(self, id_, user_data):
        more = () if self.kind is None else (self.kind,)
        return self.machines.start(id_, user_data, self.facts and self.facts(id_), *more)

    def _activate(self, id_, machine):
        with self._lock:
            server = self.servers.get(id_)
            if server is None or self._stopped.is_set():  # deleted while it booted
                if machine is not None:
                    machine.remove()
                return
            if machine is not None:
                self.running[id_] = machine
            state = {"status": "ACTIVE", "OS-EXT-STS:task_state": None, "OS-EXT-STS:vm_state": "active"}
            server["shown"].update({**state, "OS-SRV-USG:launched_at": now()})
            server["address"] = machine.address if machine else f"10.83.1.{next(self._numbers) % 250 + 1}"
            self._address(server)

    def _address(self, server):
        [port, *_] = [*self.neutron.ports_of(server["shown"]["id"]), {"id": None}]
        fixed = {"addr": server.get("address", ""), "version": 4, "OS-EXT-IPS:type": "fixed"}
        floating = self.neutron.address_of(port["id"])
        more = [{"addr": floating, "version": 4, "OS-EXT-IPS:type": "floating"}] if floating else []
        server["shown"]["addresses"] = {"campus": [fixed, *more]} if fixed["addr"] else {}

    def _end(self, id_, status, fault=""):
        with self._lock:
            machine, server = self.running.pop(id_, None), self.servers.get(id_)
            if server is not None:
                server["console"] = machine.console() if machine is not None else server.get("console", b"")
                server["shown"].update({"status": status, "OS-EXT-STS:task_state": None})
                if fault:
                    server["shown"]["fault"] = {"code": 500, "created": now(), "message": fault}
        if machine is not None:
            machine.remove()

    def _delete(self, id_):
        server = self._server(id_)
        with self._lock:
            server["shown"].update({"OS-EXT-STS:task_state": "deleting"})
            machine = self.running.pop(id_, None)
            self.servers.pop(id_, None)
            self.neutron.drop_ports(id_)
            self.on_change(f"deleted {server['name']}")
        if machine is not None:
            machine.remove()

    def _act(self, server, body):
        [(action, options)] = body.items()
        id_ = server["shown"]["id"]
        if action == "os-stop":
            self.halt(id_)
            return 202, None
        if action != "os-getConsoleOutput":
            raise Refusal(400, f"There is no such action: {action}")
        machine = self.running.get(id_)
        if machine is None and "console" not in server and server["shown"]["status"] != "ACTIVE":
            raise Refusal(409, f"Instance {id_} is not ready")
        text = (machine.console() if machine else server.get("console", b"")).decode(errors="replace")
        return 200, {"output": "\n".join(text.splitlines()[-options["length"] :])}

    def _sweep(self):
        """Servers whose machine has halted are shut off."""
        while not self._stopped.wait(SWEEP):
            if self.machines is None:
                continue
            with self._lock:
                ours = list(self.running)
            alive = self.machines.running()
            for id_ in ours:
                if id_ not in alive:
                    self._end(id_, "SHUTOFF")


def flavor(name, vcpus, ram, disk, **specs):
    """A flavor as nova describes it."""
    return {"id": f"f-{name}", "name": name, "vcpus": vcpus, "ram": ram, "disk": disk, "extra_specs": specs}


def shown_of(id_, asked, kind, zone):
    """A new server as nova describes it."""
    size = {name: kind[name] for name in ("vcpus", "ram", "disk", "extra_specs")}
    return {
        "id": id_,
        "name": asked["name"],
        "status": "BUILD",
        "OS-EXT-STS:task_state": "scheduling",
        "OS-EXT-STS:vm_state": "building",
        "OS-EXT-STS:power_state": 0,
        "OS-EXT-AZ:availability_zone": zone,
        "OS-SRV-USG:launched_at": None,
        "OS-SRV-USG:terminated_at": None,
        "accessIPv4": "",
        "accessIPv6": "",
        "addresses": {},
        "created": now()[:19] + "Z",
        "updated": now()[:19] + "Z",
        "flavor": {**size, "ephemeral": 0, "swap": 0, "original_name": kind["name"]},
        "image": {"id": asked["imageRef"]} if asked.get("imageRef") else "",
        "key_name": asked.get("key_name"),
        "metadata": asked.get("metadata", {}),
        "tags": asked.get("tags", []),
        "description": asked.get("description"),
        "config_drive": "True" if asked.get("config_drive") else "",
        "tenant_id": "p1",
        "user_id": "u1",
    }
