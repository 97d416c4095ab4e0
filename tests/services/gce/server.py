"""A stand-in of Compute Engine for the real SDK: its REST API, whose instances are containers that run.

::

    python server.py --port 21520 --subnet 10.82.10.0/24 --folder FOLDER
    POST /_control/VERB {"project": P, ...}      fault, limit, clear, kind, preempt, outage, machines, remove, calls
    a fault: {"action": "POST instances", "status": 403, "reason": "quotaExceeded", "times": 2, "after": true}
             {"action": "op:insert", "code": "QUOTA_EXCEEDED", "status": 403}       by the operation
             {"action": "*", "drop": true, "times": 100}                            no answer

What it answers follows the SDK and the documentation, not the service itself; what it does not know, it refuses.
"""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.services.gce.compute import FAMILIES, TYPES, ZONES, Compute, RefusedError
from tests.services.machines.vms import Machines

INSTANCES = r"projects/([^/]+)/zones/([^/]+)/instances"
QUOTAS = {"CPUS": (24.0, 0.0), "PREEMPTIBLE_CPUS": (0.0, 0.0), "N2_CPUS": (8.0, 8.0)}


class Api:
    """Paths of the API, each with what answers it."""

    def __init__(self, compute):
        self.compute = compute
        self.routes = [
            ("POST", INSTANCES, self.insert),
            ("GET", INSTANCES, self.list),
            ("GET", INSTANCES + "/([^/]+)", lambda query, body, *key: compute.need(*key)),
            ("DELETE", INSTANCES + "/([^/]+)", lambda query, body, *key: compute.delete(*key, query.get("requestId"))),
            ("GET", INSTANCES + "/([^/]+)/serialPort", lambda query, body, *key: compute.console(key)),
            ("GET", "projects/([^/]+)/aggregated/instances", self.aggregated),
            ("GET", "projects/([^/]+)/zones/([^/]+)/operations", self.operations),
            ("POST", "projects/([^/]+)/zones/([^/]+)/operations/([^/]+)/wait", self.wait),
            ("POST", "projects/([^/]+)/global/operations/([^/]+)/wait", self.wait_global),
            ("GET", "projects/([^/]+)/global/images/family/([^/]+)", self.family),
            ("GET", "projects/([^/]+)/global/images/([^/]+)", self.image),
            ("GET", "projects/([^/]+)/zones", self.zones),
            ("GET", "projects/([^/]+)/zones/([^/]+)/machineTypes/([^/]+)", self.type),
            ("GET", "projects/([^/]+)/regions/([^/]+)", self.region),
            ("GET", "projects/([^/]+)/global/(networks|firewalls)", self.list_global),
            ("POST", "projects/([^/]+)/global/(networks|firewalls)", self.make_global),
            ("DELETE", "projects/([^/]+)/global/(networks|firewalls)/([^/]+)", self.delete_global),
        ]

    def answer(self, method, path, query, body):
        for verb, pattern, call in self.routes:
            if verb == method and (found := re.fullmatch(pattern, path)):
                return call(query, body, *found.groups())
        raise RefusedError(404, "notFound", f"This stand-in has no {method} {path}")

    def insert(self, query, body, project, zone):
        return self.compute.insert(project, zone, body, query.get("requestId"))

    def list(self, query, body, project, zone):
        return self.compute.page(self.compute.of(self.compute.instances, project, zone), query, "compute#instanceList")

    def aggregated(self, query, body, project):
        """All zones: pages count instances, and a zone without any has a warning."""
        page = self.compute.page(self.compute.of(self.compute.instances, project), query, "")
        scopes = {}
        for one in page["items"]:
            scopes.setdefault(one["zone"].split("/projects/")[1].partition("/")[2], {}).setdefault(
                "instances", []
            ).append(one)
        empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for this scope."}}
        for zone in ZONES:
            scopes.setdefault(f"zones/{zone}", empty)
        return {**page, "kind": "compute#instanceAggregatedList", "items": scopes}

    def operations(self, query, body, project, zone):
        return self.compute.page(
            self.compute.of(self.compute.operations, project, zone), query, "compute#operationList"
        )

    def wait(self, query, body, *key):
        return self.compute.wait(key)

    def wait_global(self, query, body, project, name):
        return self.compute.wait((project, "", name))

    def family(self, query, body, project, family):
        if (project, family) not in FAMILIES:
            raise RefusedError(
                404, "notFound", f"The resource 'projects/{project}/global/images/family/{family}' was not found"
            )
        return self.image(query, body, project, FAMILIES[project, family])

    def image(self, query, body, project, name):
        if name not in FAMILIES.values():
            raise RefusedError(404, "notFound", f"The resource 'projects/{project}/global/images/{name}' was not found")
        link = f"{self.compute.url}/projects/{project}/global/images/{name}"
        return {
            "kind": "compute#image",
            "id": "42",
            "name": name,
            "status": "READY",
            "diskSizeGb": "10",
            "selfLink": link,
        }

    def zones(self, query, body, project):
        region = f"{self.compute.url}/projects/{project}/regions/us-central1"
        found = [{"kind": "compute#zone", "id": "1", "name": zone, "status": "UP", "region": region} for zone in ZONES]
        return self.compute.page(found, query, "compute#zoneList")

    def type(self, query, body, project, zone, name):
        if name not in TYPES:
            raise RefusedError(404, "notFound", f"The resource 'machineTypes/{name}' was not found")
        cores, memory = TYPES[name]
        return {"kind": "compute#machineType", "id": "7", "name": name, "guestCpus": cores, "memoryMb": memory}

    def region(self, query, body, project, name):
        quotas = [{"metric": metric, "limit": limit, "usage": used} for metric, (limit, used) in QUOTAS.items()]
        return {"kind": "compute#region", "id": "9", "name": name, "status": "UP", "quotas": quotas}

    def table(self, kind):
        return self.compute.networks if kind == "networks" else self.compute.firewalls

    def list_global(self, query, body, project, kind):
        return self.compute.page(self.compute.of(self.table(kind), project), query, f"compute#{kind[:-1]}List")

    def make_global(self, query, body, project, kind):
        table, name = self.table(kind), body["name"]
        if (project, name) in table:
            raise RefusedError(
                409, "alreadyExists", f"The resource 'projects/{project}/global/{kind}/{name}' already exists"
            )
        table[project, name] = body
        return self.compute.operate(project, "", "insert", f"{kind}/{name}", lambda: None)

    def delete_global(self, query, body, project, kind, name):
        table = self.table(kind)
        if (project, name) not in table:
            raise RefusedError(404, "notFound", f"The resource 'projects/{project}/global/{kind}/{name}' was not found")
        users = [*self.compute.of(self.compute.instances, project), *self.compute.of(self.compute.firewalls, project)]
        if kind == "networks" and any(f'/networks/{name}"' in json.dumps(user) for user in users):
            words = f"The network resource 'projects/{project}/global/networks/{name}' is already being used"
            raise RefusedError(400, "resourceInUseByAnotherResource", words)
        del table[project, name]
        return self.compute.operate(project, "", "delete", f"{kind}/{name}", lambda: None)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    api: Api
    calls: ClassVar[dict] = {}
    outages: ClassVar[dict] = {}

    def log_message(self, *words):
        """Log nothing."""

    def reply(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        body = json.loads(raw or b"{}")
        if url.path.startswith("/_control/"):
            return self.reply(200, self.control(url.path.removeprefix("/_control/"), body))
        path, query = url.path.removeprefix("/compute/v1/"), dict(parse_qsl(url.query))
        project = path.split("/")[1] if path.startswith("projects/") else ""
        action = action_of(self.command, path)
        self.calls.setdefault(project, []).append(action)
        if time.monotonic() < self.outages.get(project, 0):
            return self.drop()
        try:
            return self.serve(project, action, (self.command, path, query, body))
        except RefusedError as error:
            return self.reply(error.status, error.body())

    def serve(self, project, action, call):
        if not self.headers.get("Authorization", "").startswith("Bearer "):
            raise RefusedError(401, "required", "Login Required.")
        fault = self.api.compute.faults.take(project, action)
        if fault and fault.get("after"):
            self.api.answer(*call)
        if fault and fault.get("drop"):
            return self.drop()
        if fault and "reason" in fault:
            raise RefusedError(fault["status"], fault["reason"], fault.get("message", "injected"))
        return self.reply(200, self.api.answer(*call))

    def drop(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def control(self, verb, asked):
        if verb == "calls":
            return self.calls.get(asked["project"], [])
        if verb == "outage":
            self.outages[asked["project"]] = time.monotonic() + asked["seconds"]
            return {}
        return self.api.compute.control(verb, asked)

    do_POST = do_DELETE = do_GET  # noqa: N815 - the base class calls it so


def action_of(method, path):
    """Name of a call for faults: its method and what it is about, such as ``POST instances``."""
    parts = path.split("/")
    if parts[-1] in {"wait", "serialPort"} or parts[2:3] == ["aggregated"]:
        return f"{method} {parts[-1] if parts[-1] != 'instances' else 'aggregated'}"
    kinds = [part for part in parts[2:] if part in {"instances", "operations", "images", "networks", "firewalls"}]
    return f"{method} {kinds[0] if kinds else parts[-1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--subnet", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image", default="cnflow-machine:1")
    asked = parser.parse_args()
    machines = Machines("gce", subnet=asked.subnet, folder=asked.folder, image=asked.image)
    machines.remove()
    machines.make_network()
    compute = Compute(machines, f"http://{machines.gateway}:{asked.port}")
    Handler.api = Api(compute)
    server = ThreadingHTTPServer((machines.gateway, asked.port), Handler)
    server.daemon_threads = True
    threading.Thread(target=compute.watch, daemon=True).start()

    def end(*_):
        machines.remove()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server.serve_forever()


if __name__ == "__main__":
    main()
