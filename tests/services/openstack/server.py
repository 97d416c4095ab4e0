"""Stand-in for an OpenStack cloud: keystone, nova, glance and neutron in one HTTP server of this process.

::

    with OpenStackServer() as cloud:               servers are records: BUILD, ACTIVE, SHUTOFF, ERROR
    with OpenStackServer(machines=...) as cloud:   and each is a container that runs its user data
        openstack.connect(**cloud.login())
        cloud.nova.room = 2                        hosts for two more servers: later ones go to ERROR
        cloud.faults.append(Fault("POST", "/servers", 503, times=2))
        cloud.expire_tokens()

Answers and refusals have the form of those recorded from nova 34 (tests/services/openstack/real-up); what it does not
know is refused with 400, so that no filter is ignored.
"""

import itertools
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.services.openstack.glance import Glance
from tests.services.openstack.neutron import Neutron
from tests.services.openstack.nova import Nova
from tests.services.openstack.refusal import Refusal

REGION, PROJECT, USER, PASSWORD = "RegionOne", "demo", "ann", "secret"


@dataclass
class Fault:
    """Wrong answers to the next requests of one kind."""

    method: str
    path: str
    """Regular expression for the path behind the service's own part."""

    status: int = 0
    """0 closes the connection without an answer."""

    words: str = "injected"
    times: int = 1
    is_late: bool = False
    """The request is carried out first, and then its answer is lost."""

    headers: dict = field(default_factory=dict)


class OpenStackServer:
    """One cloud with one project; listens on an own port of *host*."""

    def __init__(self, host="127.0.0.1", machines=None, port=0):
        self.nova = Nova(machines, on_change=self._record)
        self.glance, self.neutron = Glance(), Neutron(self.nova)
        self.nova.neutron, self.nova.glance = self.neutron, self.glance
        self.faults, self.requests = [], []
        self.password, self.is_down = PASSWORD, False
        self.tokens = set()
        self.changes = []
        self.before = None  # called with (method, path) before each request is carried out
        self._lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"cloud": self})
        self._http = ThreadingHTTPServer((host, port), handler)
        self._http.daemon_threads = True
        self.address = f"http://{host}:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.nova.start()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self.nova.stop()

    def login(self):
        """Options of ``openstack.connect``."""
        return self._auth()

    def variables(self):
        """Variables ``OS_...`` of the login."""
        named = {f"OS_{name.upper()}": value for name, value in self._auth().items()}
        return {**named, "OS_IDENTITY_API_VERSION": "3"}

    def expire_tokens(self):
        """Make all tokens invalid."""
        with self._lock:
            self.tokens.clear()

    def counted(self, method, path):
        """Number of requests so far."""
        return sum(1 for each in list(self.requests) if each[0] == method and re.search(path, each[1]))

    def handle(self, method, path, query, body, token):
        """Status, headers and answer of one request."""
        if self.before is not None:
            self.before(method, path)
        service, _, rest = path.lstrip("/").partition("/")
        if service == "identity":
            return self._identity(method, "/" + rest, body)
        if not rest.strip("/") or re.fullmatch(r"v[\d.]+/?", rest):
            return 200, {}, self._versions(service)
        with self._lock:
            if token not in self.tokens:
                raise Refusal(401, "The request you have made requires authentication.")
        part: Any = {"compute": self.nova, "image": self.glance, "network": self.neutron}[service]
        status, answer = part.handle(method, "/" + rest.partition("/")[2], query, body)
        return status, {}, answer

    def fault(self, method, path, *, is_late):
        """The fault for a request, which is used up by it; None for a right answer."""
        with self._lock:
            for each in self.faults:
                if each.times and each.is_late is is_late and each.method == method and re.search(each.path, path):
                    each.times -= 1
                    return each
        return None

    def _record(self, change):
        self.changes.append((time.monotonic(), change))

    def _auth(self):
        return {
            "auth_url": f"{self.address}/identity/v3",
            "username": USER,
            "password": self.password,
            "project_name": PROJECT,
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "region_name": REGION,
        }

    def _identity(self, method, path, body):
        if method == "POST" and path == "/v3/auth/tokens":
            return self._token(body["auth"])
        links = [{"rel": "self", "href": f"{self.address}/identity/v3/"}]
        version = {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": links}
        return (
            (200, {}, {"version": version})
            if path.startswith("/v3")
            else (300, {}, {"versions": {"values": [version]}})
        )

    def _token(self, auth):
        user = auth["identity"].get("password", {}).get("user", {})
        if (user.get("name"), user.get("password")) != (USER, PASSWORD):
            raise Refusal(401, "The request you have made requires authentication.")
        token = uuid.uuid4().hex
        with self._lock:
            self.tokens.add(token)
        catalog = [self._service(*each) for each in (("compute", "v2.1"), ("image", ""), ("network", ""))]
        domain = {"id": "default", "name": "Default"}
        answer = {
            "methods": ["password"],
            "user": {"id": "u1", "name": USER, "domain": domain},
            "project": {"id": "p1", "name": PROJECT, "domain": domain},
            "roles": [{"id": "r1", "name": "member"}],
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "catalog": catalog,
        }
        return 201, {"X-Subject-Token": token}, {"token": answer}

    def _service(self, kind, version):
        url = f"{self.address}/{kind}/{version}".rstrip("/")
        endpoint = {"id": f"e-{kind}", "interface": "public", "region": REGION, "region_id": REGION, "url": url}
        return {"type": kind, "name": kind, "id": f"s-{kind}", "endpoints": [endpoint]}

    def _versions(self, service):
        at = f"{self.address}/{service}"
        if service == "compute":
            version = {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1"}
            return {"version": {**version, "links": [{"rel": "self", "href": f"{at}/v2.1/"}]}}
        name = {"image": "v2", "network": "v2.0"}[service]
        return {"versions": [{"id": name, "status": "CURRENT", "links": [{"rel": "self", "href": f"{at}/{name}/"}]}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cloud: OpenStackServer
    _numbers = itertools.count(1)

    def log_message(self, *_):
        """Nothing is printed."""

    def do_GET(self):
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the base class calls them so

    def _answer(self):
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        cloud, path = self.cloud, parts.path
        cloud.requests.append((self.command, path, body))
        fault = cloud.fault(self.command, path, is_late=False)
        if fault is not None or cloud.is_down:
            self._refuse(fault)
            return
        try:
            token = self.headers.get("X-Auth-Token")
            status, headers, answer = cloud.handle(self.command, path, parse_qsl(parts.query), body, token)
        except Refusal as refusal:
            status, headers, answer = refusal.status, {}, refusal.body(path)
        if fault := cloud.fault(self.command, path, is_late=True):
            self._refuse(fault)
            return
        self._send(status, headers, answer)

    def _refuse(self, fault):
        if fault is None or not fault.status:
            self.close_connection = True
            return
        self._send(fault.status, fault.headers, Refusal(fault.status, fault.words).body(self.path))

    def _send(self, status, headers, answer):
        data = b"" if answer is None else json.dumps(answer).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("x-openstack-request-id", f"req-{next(self._numbers)}")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            self.close_connection = True  # the client is gone
