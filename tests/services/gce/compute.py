"""State of the stand-in of Compute Engine: instances whose machines run, operations, networks.

::

    insert ──> operation RUNNING ──┬── room: PROVISIONING ──> STAGING ──machine boots──> RUNNING
                                   └── none: DONE with ZONE_RESOURCE_POOL_EXHAUSTED, and no instance
    RUNNING ──halted within──> TERMINATED, which keeps its name ──delete──> gone
       ├── preempt: notice at once ──after──> gone, or TERMINATED, by instanceTerminationAction
       └── maxRunDuration ──> the same

All is told apart by project, so that tests share the stand-in: each has a project of its own.
"""

import re
import sys
import threading
import time
import uuid

from tests.services.ec2.faults import Faults
from tests.services.gce.filters import BadFilterError, matches
from tests.services.machines.metadata import Facts
from tests.services.machines.vms import USUAL, Kind

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
HTTP_WORDS = {503: "SERVICE UNAVAILABLE", 403: "FORBIDDEN", 404: "NOT FOUND"}
ZONES = tuple(f"us-central1-{letter}" for letter in "abcf")
TYPES = {
    "e2-small": (2, 2048),
    "e2-standard-2": (2, 8192),
    "e2-standard-4": (4, 16384),
    "n1-standard-1": (1, 3840),
    "n2-standard-2": (2, 8192),
    "n2-standard-4": (4, 16384),
}
FAMILIES = {("debian-cloud", "debian-12"): "debian-12-bookworm-v20261101"}
NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
LIVING = ("PROVISIONING", "STAGING", "RUNNING")
EXHAUSTED = (
    "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  "
    "Try a different zone, or try again later."
)


class RefusedError(Exception):
    """An answer with an error, at once."""

    def __init__(self, status, reason, message):
        super().__init__(message)
        self.status, self.reason = status, reason

    def body(self):
        one = {"message": str(self), "domain": "global", "reason": self.reason}
        words = {"code": self.status, "message": str(self), "status": STATUS.get(self.status, "UNKNOWN")}
        return {"error": words | {"errors": [one]}}


class FailedError(Exception):
    """An error that an operation carries."""

    def __init__(self, code, message, status):
        super().__init__(message)
        self.code, self.status = code, status


def stamp(moment=None):
    return time.strftime("%Y-%m-%dT%H:%M:%S.000-00:00", time.gmtime(moment))


class Compute:
    """All projects."""

    def __init__(self, machines, url):
        self.machines, self.url = machines, f"{url}/compute/v1"
        self.lock, self.faults = threading.RLock(), Faults()
        self.instances, self.operations, self.requests, self.running = {}, {}, {}, {}
        self.networks, self.firewalls, self.kinds, self.tokens = {}, {}, {}, {}
        self.number = 10**18

    def next(self):
        with self.lock:
            self.number += 1
            return str(self.number)

    # --- operations

    def operate(self, project, zone, kind, target, work, request=None):
        """Answer with an operation that does *work*; the same one for a request id that was used before."""
        with self.lock:
            if request and (project, request) in self.requests:
                return self.requests[project, request]
            name = f"operation-{self.next()}-{uuid.uuid4().hex[:8]}"
            scope = f"{self.url}/projects/{project}/" + (f"zones/{zone}" if zone else "global")
            found = {"kind": "compute#operation", "id": self.next(), "name": name, "operationType": kind}
            found |= {"status": "RUNNING", "progress": 0, "user": "me@example.org", "targetLink": f"{scope}/{target}"}
            found |= {"insertTime": stamp(), "startTime": stamp(), "selfLink": f"{scope}/operations/{name}"}
            if zone:
                found["zone"] = scope
            self.operations[project, zone, name] = found
            if request:
                self.requests[project, request] = found
            answer = dict(found)
        threading.Thread(target=self.work, args=(project, found, kind, work), daemon=True).start()
        return answer

    def work(self, project, operation, kind, work):
        try:
            self.suffer(project, kind)
            work()
        except FailedError as error:
            words = HTTP_WORDS.get(error.status, "BAD REQUEST")
            operation["error"] = {"errors": [{"code": error.code, "message": str(error)}]}
            operation.update(httpErrorStatusCode=error.status, httpErrorMessage=words)
        except Exception as error:  # an operation that ends in silence is waited for for ever
            sys.stderr.write(f"{kind} failed: {error!r}\n")
            operation["error"] = {"errors": [{"code": "INTERNAL_ERROR", "message": str(error)}]}
        operation.update(status="DONE", progress=100, endTime=stamp())

    def suffer(self, project, kind):
        if fault := self.faults.take(project, f"op:{kind}"):
            raise FailedError(fault["code"], fault.get("message", "injected"), fault.get("status", 400))

    def wait(self, key):
        if key not in self.operations:
            raise RefusedError(404, "notFound", f"The resource 'operations/{key[2]}' was not found")
        until = time.monotonic() + 120
        while self.operations[key]["status"] != "DONE" and time.monotonic() < until:
            time.sleep(0.02)
        return self.operations[key]

    # --- instances

    def insert(self, project, zone, body, request):
        self.check(project, zone, body)
        name = body["name"]
        with self.lock:
            if request and (project, request) in self.requests:
                return self.requests[project, request]
            if (project, zone, name) in self.instances:
                place = f"projects/{project}/zones/{zone}/instances/{name}"
                raise RefusedError(409, "alreadyExists", f"The resource '{place}' already exists")
        return self.operate(
            project, zone, "insert", f"instances/{name}", lambda: self.create(project, zone, body), request
        )

    def check(self, project, zone, body):
        """Refuse what Compute Engine refuses at once."""
        if zone not in ZONES:
            raise RefusedError(400, "invalid", f"Invalid value for field 'zone': '{zone}'. Unknown zone.")
        if not NAME.fullmatch(body.get("name", "")):
            raise RefusedError(400, "invalid", f"Invalid value for field 'resource.name': '{body.get('name')}'.")
        for field in ("machineType", "disks", "networkInterfaces"):
            if not body.get(field):
                raise RefusedError(400, "required", f"Required field 'resource.{field}' not specified")
        kind = body["machineType"].rpartition("/")[2]
        if kind not in TYPES:
            words = f"Machine type with name '{kind}' does not exist in zone '{zone}'."
            raise RefusedError(400, "invalid", f"Invalid value for field 'resource.machineType': {words}")
        for label in (*body.get("labels", {}), *body.get("labels", {}).values()):
            if not LABEL.fullmatch(label):
                raise RefusedError(400, "invalid", f"Invalid value for field 'resource.labels': '{label}'.")
        network = body["networkInterfaces"][0].get("network", "").rpartition("/")[2]
        if network != "default" and (project, network) not in self.networks:
            raise RefusedError(400, "invalid", f"The referenced network resource cannot be found: '{network}'.")
        seconds = body.get("scheduling", {}).get("maxRunDuration", {}).get("seconds")
        if seconds and int(seconds) < 30:
            raise RefusedError(400, "invalid", "Invalid value for field 'resource.scheduling.maxRunDuration'")

    def create(self, project, zone, body):
        name, kind = body["name"], body["machineType"].rpartition("/")[2]
        is_spot = body.get("scheduling", {}).get("provisioningModel") == "SPOT"
        with self.lock:
            wanted = {"zone": zone, "type": kind, "spot": is_spot}
            if why := self.faults.room(project, wanted, self.living(project)):
                raise FailedError(why[0], why[1].format(project=project, zone=zone), 403 if "QUOTA" in why[0] else 503)
            link = f"{self.url}/projects/{project}/zones/{zone}"
            found = {**body, "kind": "compute#instance", "id": self.next(), "status": "PROVISIONING", "zone": link}
            found |= {"creationTimestamp": stamp(), "selfLink": f"{link}/instances/{name}"}
            self.instances[project, zone, name] = found
        threading.Thread(target=self.boot, args=(project, zone, name), daemon=True).start()

    def boot(self, project, zone, name):
        """Start the machine; an instance that was deleted meanwhile has none."""
        found = self.instances[project, zone, name]
        found["status"] = "STAGING"
        items = {item["key"]: item["value"] for item in found.get("metadata", {}).get("items", [])}
        token = uuid.uuid4().hex if found.get("serviceAccounts") else ""
        facts = Facts(
            name=name,
            zone=zone,
            type=found["machineType"].rpartition("/")[2],
            project=project,
            attributes=items,
            token=token,
            is_spot=found.get("scheduling", {}).get("provisioningModel") == "SPOT",
        )
        data = items.get("startup-script", "#!/bin/sh\n").encode()
        try:
            machine = self.machines.start(self.machine_name(project, name), data, facts, self.kinds.get(project, USUAL))
        except Exception as error:
            sys.stderr.write(f"{name} did not boot: {error}\n")
            found["status"], found["statusMessage"] = "TERMINATED", f"it did not boot: {error}"
            return
        with self.lock:
            self.tokens[token] = project
            if self.instances.get((project, zone, name)) is not found:
                threading.Thread(target=machine.remove, daemon=True).start()
                return
            self.running[project, zone, name] = machine
            interface = found["networkInterfaces"][0]
            interface |= {"networkIP": machine.address, "name": "nic0"}
            for access in interface.get("accessConfigs", []):
                access["natIP"] = machine.address
            if found["status"] == "STAGING":
                found["status"] = "RUNNING"

    def machine_name(self, project, name):
        return f"{project}-{name}"[-50:].lstrip("-")

    def need(self, project, zone, name):
        if (project, zone, name) not in self.instances:
            place = f"projects/{project}/zones/{zone}/instances/{name}"
            raise RefusedError(404, "notFound", f"The resource '{place}' was not found")
        return self.instances[project, zone, name]

    def end(self, project, zone, name, *, is_forgotten):
        """End the machine; the instance is forgotten, or kept as TERMINATED."""
        with self.lock:
            found = self.instances.get((project, zone, name))
            machine = self.running.pop((project, zone, name), None)
            if found is None:
                return
            found["status"] = "STOPPING"
        if machine:
            machine.remove()
        with self.lock:
            found["status"] = "TERMINATED"
            if is_forgotten and self.instances.get((project, zone, name)) is found:
                del self.instances[project, zone, name]

    def delete(self, project, zone, name, request):
        self.need(project, zone, name)
        target = f"instances/{name}"
        return self.operate(
            project, zone, "delete", target, lambda: self.end(project, zone, name, is_forgotten=True), request
        )

    def preempt(self, project, name, after):
        """Take a machine back: the notice now, its end *after* seconds."""
        key = next(key for key in self.instances if key[0] == project and key[2] == name)
        self.running[key].facts.update(preempted="TRUE")

        def take_back():
            time.sleep(after)
            action = self.need(*key).get("scheduling", {}).get("instanceTerminationAction")
            self.end(*key, is_forgotten=action == "DELETE")

        self.operate(*key[:2], "compute.instances.preempted", f"instances/{name}", take_back)

    def living(self, project):
        return [
            {"zone": zone, "type": one["machineType"].rpartition("/")[2], "spot": is_spot_of(one)}
            for (owner, zone, _), one in self.instances.items()
            if owner == project and one["status"] in LIVING
        ]

    def watch(self):
        """Machines that halted are TERMINATED; those past maxRunDuration end by their instanceTerminationAction."""
        while True:
            time.sleep(0.5)
            try:
                self.sweep()
            except Exception as error:
                sys.stderr.write(f"A sweep failed: {error!r}\n")

    def sweep(self):
        there, now = self.machines.running(), time.time()
        for key, machine in list(self.running.items()):
            found = self.instances.get(key)
            if not found or found["status"] != "RUNNING" or now < machine.booted_at + 1:
                continue
            scheduling = found.get("scheduling", {})
            limit = float(scheduling.get("maxRunDuration", {}).get("seconds", 0))
            if self.machine_name(key[0], key[2]) not in there:
                found["last-console"] = machine.console().decode(errors="replace")
                halted = "compute.instances.guestTerminate"
                self.operate(*key[:2], halted, f"instances/{key[2]}", lambda: None)
                threading.Thread(target=self.end, args=key, kwargs={"is_forgotten": False}, daemon=True).start()
            elif limit and now - machine.booted_at > limit:
                forgotten = scheduling.get("instanceTerminationAction") == "DELETE"
                threading.Thread(target=self.end, args=key, kwargs={"is_forgotten": forgotten}, daemon=True).start()

    def console(self, key):
        found = self.need(*key)
        machine = self.running.get(key)
        text = machine.console().decode(errors="replace") if machine else found.get("last-console", "")
        return {"kind": "compute#serialPortOutput", "contents": text, "start": "0", "next": str(len(text))}

    # --- lists and tests' orders

    def page(self, things, query, kind):
        try:
            found = [thing for thing in things if matches(thing, query.get("filter"))]
        except BadFilterError as error:
            raise RefusedError(400, "invalid", f"Invalid value for field 'filter': '{error}'.") from error
        at, most = int(query.get("pageToken") or 0), int(query.get("maxResults") or 500)
        more = {"nextPageToken": str(at + most)} if at + most < len(found) else {}
        return {"kind": kind, "id": "x", "items": found[at : at + most], **more}

    def of(self, table, project, zone=None):
        with self.lock:
            return [one for key, one in table.items() if key[0] == project and zone in (None, key[1])]

    def control(self, verb, asked):
        project = asked.pop("project")
        if verb == "fault":
            self.faults.add(project, asked)
        elif verb == "limit":
            usual = {"code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": EXHAUSTED}
            self.faults.limit(project, {**usual, **asked})
        elif verb == "clear":
            self.faults.clear(project)
        elif verb == "kind":
            self.kinds[project] = Kind(**{**asked, "lacks": tuple(asked.get("lacks", ()))})
        elif verb == "preempt":
            self.preempt(project, asked["name"], asked.get("after", 30))
        elif verb == "machines":
            return [self.described(key) for key in list(self.instances) if key[0] == project]
        elif verb == "remove":
            for key in [key for key in self.instances if key[0] == project]:
                self.end(*key, is_forgotten=True)
        else:
            raise KeyError(verb)
        return {}

    def described(self, key):
        found, machine = self.instances[key], self.running.get(key)
        named = {"name": key[2], "zone": key[1], "status": found["status"], "labels": found.get("labels", {})}
        return named | {"container": machine.container if machine else "", "spot": is_spot_of(found)}


def is_spot_of(instance):
    return instance.get("scheduling", {}).get("provisioningModel") == "SPOT"
