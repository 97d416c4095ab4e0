"""Metadata servers of machines, at their true address 169.254.169.254: EC2's (IMDSv2) and Compute Engine's.

::

    facts = Facts(name="i-1", zone="us-east-2a", ...)
    server = MetadataServer(facts, pid)         listens in the network namespace of that process; needs root
    facts.update(spot_action={"action": "terminate", "time": "..."})     or preempted="TRUE": a notice, which ends the
    server.close()                                                       waits of ?wait_for_change=true at once

EC2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html (a token by PUT, else 401; the
notice of two minutes at ``spot/instance-action``, 404 until then). Compute Engine:
https://cloud.google.com/compute/docs/metadata/querying-metadata (a header, else 403; ``instance/preempted``).
"""

import ctypes
import json
import os
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

ADDRESS = "169.254.169.254"
TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "x-aws-ec2-metadata-token"
ACCOUNT = {"aliases": ["default"], "email": "account@example.org"}
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
LONGEST_WAIT = 3600.0


@dataclass
class Facts:
    """What the metadata server of one machine answers."""

    name: str
    zone: str = ""
    region: str = ""
    type: str = ""
    is_spot: bool = False
    project: str = ""
    user_data: bytes = b""
    tags: dict = field(default_factory=dict)
    attributes: dict = field(default_factory=dict)
    """Compute Engine's metadata of the instance."""

    token: str = ""
    """Access token of the machine's service account on Compute Engine; empty where it has none."""

    role: str = ""
    """Name of the machine's role on EC2; empty where it has none."""

    spot_action: dict | None = None
    rebalance: dict | None = None
    preempted: str = "FALSE"
    maintenance: str = "NONE"
    version: int = 1
    changed: threading.Condition = field(default_factory=threading.Condition, repr=False)

    def update(self, **facts):
        """Change *facts*, and end the waits for a change."""
        with self.changed:
            for name, value in facts.items():
                setattr(self, name, value)
            self.version += 1
            self.changed.notify_all()

    def wait(self, known, seconds):
        """Wait until the version is another than *known*."""
        with self.changed:
            self.changed.wait_for(lambda: self.version != known, seconds)


class Answer(NamedTuple):
    """An answer of HTTP."""

    status: int
    content: object = ""
    headers: Mapping = MappingProxyType({})


def of_ec2(facts, tokens, method, path, headers):
    """Answer of EC2's server; *headers* have names in lower case."""
    if path == "latest/api/token":
        if method != "PUT":
            return Answer(405)
        if not headers.get(TOKEN_LIFE):
            return Answer(400)
        token = uuid.uuid4().hex
        tokens[token] = time.monotonic() + int(headers[TOKEN_LIFE])
        return Answer(200, token, {TOKEN_LIFE: headers[TOKEN_LIFE]})
    if tokens.get(headers.get(TOKEN), 0) < time.monotonic():
        return Answer(401)
    content = ec2_tree(facts).get(path.removeprefix("latest/"))
    return Answer(404) if content is None else Answer(200, content)


def ec2_tree(facts):
    """Paths below ``latest/`` and their contents; None is a path that is not there."""
    roles = "meta-data/iam/security-credentials/"
    keys = {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "AKIAFAKE", "SecretAccessKey": "s", "Token": "t"}
    times = {"LastUpdated": "2026-01-01T00:00:00Z", "Expiration": "2099-01-01T00:00:00Z"}
    return {
        "user-data": facts.user_data or None,
        "meta-data/instance-id": facts.name,
        "meta-data/instance-type": facts.type,
        "meta-data/instance-life-cycle": "spot" if facts.is_spot else "on-demand",
        "meta-data/placement/availability-zone": facts.zone,
        "meta-data/placement/region": facts.region,
        "meta-data/spot/instance-action": facts.spot_action,
        "meta-data/spot/termination-time": (facts.spot_action or {}).get("time"),
        "meta-data/events/recommendations/rebalance": facts.rebalance,
        **({roles: facts.role, roles + facts.role: keys | times} if facts.role else {}),
        **{f"meta-data/tags/instance/{name}": value for name, value in facts.tags.items()},
    }


def of_google(facts, path, query, headers):
    """Answer of Compute Engine's server."""
    flavor = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
    if not path:
        return Answer(200, "computeMetadata/\n", flavor)  # SDKs ask so whether they are on a machine of Google
    if headers.get("metadata-flavor") != "Google":
        return Answer(403, "Missing Metadata-Flavor:Google header.", flavor)
    key = path.removeprefix("computeMetadata/v1/").rstrip("/")
    if query.get("wait_for_change") == "true":
        facts.wait(int(query.get("last_etag") or facts.version), float(query.get("timeout_sec", LONGEST_WAIT)))
    content = google_tree(facts).get(key)
    return Answer(404 if content is None else 200, content or "", flavor | {"ETag": str(facts.version)})


def google_tree(facts):
    """Paths below ``computeMetadata/v1/`` and their contents."""
    account = "instance/service-accounts/default"
    token = {"access_token": facts.token, "expires_in": 3599, "token_type": "Bearer"}
    owned = {account: ACCOUNT | {"scopes": [CLOUD_PLATFORM]}, f"{account}/token": token}
    owned |= {f"{account}/email": ACCOUNT["email"], f"{account}/scopes": CLOUD_PLATFORM}
    return {
        "instance/name": facts.name,
        "instance/zone": f"projects/1/zones/{facts.zone}",
        "instance/machine-type": f"projects/1/machineTypes/{facts.type}",
        "instance/preempted": facts.preempted,
        "instance/maintenance-event": facts.maintenance,
        "instance/scheduling/preemptible": "TRUE" if facts.is_spot else "FALSE",
        "project/project-id": facts.project,
        "universe/universe-domain": "googleapis.com",
        **(owned if facts.token else {}),
        **{f"instance/attributes/{name}": value for name, value in facts.attributes.items()},
    }


class Handler(BaseHTTPRequestHandler):
    """One request to a machine's metadata server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        """Log nothing."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        path, headers = address.path.strip("/"), {name.lower(): value for name, value in self.headers.items()}
        if address.path.startswith("/latest/"):
            slash = "/" if address.path.endswith("/") else ""
            found = of_ec2(self.server.facts, self.server.tokens, self.command, path + slash, headers)
        else:
            found = of_google(self.server.facts, path, dict(parse_qsl(address.query)), headers)
        self.reply(found)

    def reply(self, found):
        content, kind = found.content, "text/plain"
        if isinstance(content, dict):
            content, kind = json.dumps(content), "application/json"
        data = content if isinstance(content, bytes) else content.encode()
        self.send_response_only(found.status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **found.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_GET  # noqa: N815 - the base class calls it so


class MetadataServer(ThreadingHTTPServer):
    """The server of one machine, whose processes have the network namespace of process *pid*."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, facts, pid):
        super().__init__((ADDRESS, 80), Handler, bind_and_activate=False)
        self.facts, self.tokens = facts, {}
        self.socket.close()
        self.socket = listen_within(pid)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()

    def handle_error(self, request, client_address):
        """A machine that ends breaks its connections; that is no error of the server."""

    def close(self):
        self.shutdown()
        self.server_close()


def listen_within(pid):
    """Listen at port 80 of `ADDRESS` in the network namespace of process *pid*, which gets the address."""
    result = []
    thread = threading.Thread(target=lambda: result.append(_listen(pid)))  # a thread alone can change its namespace
    thread.start()
    thread.join()
    if not result:
        raise RuntimeError(f"No metadata server can listen in the namespace of process {pid}; see the error above.")
    return result[0]


def _listen(pid):
    with Path(f"/proc/{pid}/ns/net").open() as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)  # the thread's namespace
    return socket.create_server((ADDRESS, 80), backlog=16)
