"""A server in memory with the part of Azure's resource manager that cnflow asks: machines of one group, which run.

Written from the documents of the interface, not recorded: nothing here was compared with Azure.
"""

import base64
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GROUP = "/subscriptions/s1/resourceGroups/cnflow"
MACHINES = f"{GROUP}/providers/Microsoft.Compute/virtualMachines"


class AzureServer:
    """One resource group; *machines* run, as of `tests.services.openstack.played`."""

    def __init__(self, machines):
        self.machines, self.known, self.running = machines, {}, {}
        self.room, self.quota = None, None
        self.refused = self.is_down = self.is_losing = False
        self.operations = {}
        self.numbers = itertools.count(1)
        self.lock = threading.RLock()
        self.consoles = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cloud": self}))
        self._http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self.machines.remove()

    def put(self, name, body, *, is_new):
        """Status, headers and answer of a request for a machine."""
        with self.lock:
            if name in self.known:
                return (412, {}, refusal("PreconditionFailed", "exists")) if is_new else (200, {}, self.shown(name))
            if self.quota is not None and len(self.known) >= self.quota:
                words = (
                    "Operation could not be completed as it results in exceeding approved Total Regional Cores quota."
                )
                return 409, {}, refusal("OperationNotAllowed", words)
            self.known[name] = {"name": name, **body}
            operation = f"op{next(self.numbers)}"
            if self.room is not None and len(self.running) >= self.room:
                self.operations[operation] = {"status": "Failed", **refusal("AllocationFailed", "no capacity")}
                self.known[name]["state"] = "Failed"
            else:
                self.operations[operation] = {"status": "Succeeded"}
                text = base64.b64decode(body["properties"]["osProfile"]["customData"])
                self.running[name] = self.machines.start(f"{name}-{operation}", text, None)
            headers = {"Azure-AsyncOperation": f"{self.address}/providers/Microsoft.Compute/operations/{operation}"}
            return 201, headers, self.shown(name)

    def shown(self, name):
        """A machine as Azure describes it."""
        known = self.known[name]
        machine = self.running.get(name)
        power = "running" if machine is not None and machine.played.is_alive() else "stopped"
        properties = {
            **known["properties"],
            "provisioningState": known.get("state", "Succeeded"),
            "instanceView": {"statuses": [{"code": f"PowerState/{power}"}]},
            "timeCreated": "2026-01-01T00:00:00.0000000+00:00",
        }
        return {"name": known["name"], "tags": known["tags"], "zones": known.get("zones", []), "properties": properties}

    def halt(self, name):
        self.running[name].remove()

    def delete(self, name):
        with self.lock:
            machine = self.running.pop(name, None)
            self.known.pop(name, None)
        if machine is not None:
            machine.remove()

    def handle(self, method, path, query, body, headers):  # noqa: PLR0911 - a table of paths
        """Status, headers and answer of one request."""
        found = re.fullmatch(rf"{MACHINES}(?:/([\w-]+))?(/retrieveBootDiagnosticsData)?", path)
        if path.startswith("/providers/"):
            return 200, {}, self.operations[path.rpartition("/")[2]]
        if path.startswith("/console/"):
            machine = self.running.get(path.rpartition("/")[2])
            return (200, {}, machine.console()) if machine else (404, {}, {})
        if "Microsoft.Network" in path:
            return 200, {}, {"value": []}
        assert found, path
        name = found[1]
        if method == "PUT":
            if self.refused:
                return self.refused, {}, refusal("TooManyRequests", "refused")
            return self.put(name, body, is_new=headers.get("If-None-Match") == "*")
        with self.lock:
            if name is None:
                return 200, {}, {"value": [self.shown(each) for each in self.known]}
            if name not in self.known:
                return 404, {}, refusal("ResourceNotFound", f"{name} was not found")
            if found[2]:
                return 200, {}, {"serialConsoleLogBlobUri": f"{self.address}/console/{name}"}
            if method == "GET":
                return 200, {}, self.shown(name)
        self.delete(name)
        return 202, {}, {}


def refusal(code, words):
    return {"error": {"code": code, "message": words}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: AzureServer

    def log_message(self, *_):
        """Nothing is printed."""

    def do_GET(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.cloud.is_down:
            self.close_connection = True
            return
        if self.headers.get("Authorization") == "Bearer expired":
            answer = 401, {}, refusal("ExpiredAuthenticationToken", "The access token has expired.")
        else:
            answer = self.cloud.handle(self.command, parts.path, parse_qs(parts.query), body, self.headers)
        if self.command == "PUT" and self.cloud.is_losing:
            self.cloud.is_losing = False
            self.close_connection = True
            return
        status, headers, content = answer
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class calls them so
