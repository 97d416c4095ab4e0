"""Registries that tests/services/registry/up starts, images in them, and a proxy that does what a bad registry does."""

import http.client
import http.server
import io
import json
import tarfile
import threading
import uuid
from pathlib import Path

PLACES = Path(__file__).with_name("registry") / "places"


def read_places(gateway):
    """Names and values of the file of places."""
    lines = (line for line in PLACES.read_text().splitlines() if line and not line.startswith("#"))
    return {name: value.replace("GATEWAY", gateway) for name, _, value in (line.partition("=") for line in lines)}


def gateway_of(engine):
    """Address of this machine in the engine's own network."""
    return engine.api.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]


def tar_of(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class Registries:
    """The registries, and the images that one test has in them; `remove` removes those from the engine."""

    def __init__(self, engine):
        self._engine = engine
        places = read_places(gateway_of(engine))
        self.plain, self.password, self.tls = (places[name] for name in ("plain", "password", "tls"))
        self.login = {"username": places["user"], "password": places["secret"]}
        self._mark = uuid.uuid4().hex[:8]
        self._made = set()

    def name(self, registry=None, tag="1"):
        """A name in a registry that no other test has."""
        name = f"{registry or self.plain}/cnflow-test-{self._mark}:{tag}"
        self._made.add(name)
        return name

    def make(self, name, content=b"1"):
        """Make an image of one file; it holds no Python."""
        repository, _, tag = name.rpartition(":")
        self._engine.api.import_image_from_data(tar_of({"hello": content}), repository=repository, tag=tag)
        return name

    def push(self, name, **options):
        """Push an image; return its digest in the registry."""
        events = list(self._engine.api.push(name, stream=True, decode=True, **options))
        trouble = [event["error"] for event in events if "error" in event]
        assert not trouble, trouble
        return next(event["aux"]["Digest"] for event in events if "aux" in event)

    def publish(self, name, content=b"1", **options):
        """Make an image, push it and remove it from the engine; return its digest in the registry."""
        digest = self.push(self.make(name, content), **options)
        self.forget(name)
        return digest

    def forget(self, name):
        """Remove an image from the engine."""
        self._engine.images.remove(name)

    def remove(self):
        for image in self._engine.images.list():
            names = [*image.tags, *(image.attrs.get("RepoDigests") or ())]
            for name in names:
                if self._mark in name:
                    self._engine.images.remove(name, force=True)
                    break


class Proxy:
    """Stands before the plain registry. `alter` is given a path and its reply (status, headers, body), and returns
    the one that is sent."""

    def __init__(self, behind):
        self.behind = behind
        self.alter = lambda path, reply: reply
        self.asked = []
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def limit(self, times, message="toomanyrequests: too many requests"):
        """Answer 429 to the next requests for a manifest, as registries with a limit do."""
        left = [times]
        body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": message}]}).encode()

        def alter(path, reply):
            if "/manifests/" not in path or left[0] <= 0:
                return reply
            left[0] -= 1
            return 429, {"Content-Type": "application/json", "Retry-After": "1"}, body

        self.alter = alter

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def do_GET(self):
        self.proxy.asked.append(self.path)
        behind = http.client.HTTPConnection(self.proxy.behind, timeout=10)
        try:
            # The engine sends a line of Accept for each kind of manifest.
            names = {name for name in self.headers if name.lower() != "host"}
            headers = {name: ", ".join(self.headers.get_all(name)) for name in names}
            behind.request(self.command, self.path, headers=headers)
            reply = behind.getresponse()
            got = reply.status, dict(reply.getheaders()), reply.read()
        finally:
            behind.close()
        status, headers, body = self.proxy.alter(self.path, got)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date"}:
                self.send_header(name, value)
        length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass
