"""Looks a name up in its registry: digest, and id of the image, which are known before anything is pulled.

::

    GET /v2/NAME/manifests/TAG ── 401: token by its header ── again ──> index ──> manifest of the platform
                                                                         digest          config.digest = id of the image

Requests are made by this machine, or at the site by ``curl``: whichever reaches the registry. What is not found out is
no error here: the image is pulled by its name, then, and what pulls it says why it cannot.
"""

from __future__ import annotations

import base64
import email.parser
import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.interfaces.channel import Channel

_PATIENCE = 20.0
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_SUCCESS, _UNAUTHORISED = 200, 401


class Reply(NamedTuple):
    """Answer to a GET."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case."""

    body: bytes


class Get(Protocol):
    """Makes one request; an `OSError` if there is no answer."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> Reply:
        """GET *url*."""


class RegistryImage(NamedTuple):
    """An image as a registry has it."""

    reference: str
    """``HOST/NAME@sha256:...``, as Apptainer and engines pull it."""

    id: str
    """Id that it has in any engine."""

    architecture: str
    is_http: bool


class RegistryName(NamedTuple):
    """Parts of a reference."""

    host: str
    repository: str
    tag: str
    """Or a digest."""

    @property
    def api(self) -> str:
        """Host that answers."""
        return "registry-1.docker.io" if self.host == "docker.io" else self.host

    @property
    def may_be_http(self) -> bool:
        """Engines speak plain HTTP with registries of this machine: https://docs.docker.com/reference/cli/dockerd/."""
        return self.host.partition(":")[0] in {"localhost", "127.0.0.1"}


def parse_name(reference: str) -> RegistryName:
    """Parts of *reference*, by the rules of all engines."""
    name, _, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if not (slash and ("." in first or ":" in first or first == "localhost")):
        first, rest = "docker.io", name if slash else f"library/{name}"
    repository, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = rest, "latest"
    return RegistryName(first, repository, digest or tag)


def look_up(reference: str, architecture: str, login: tuple[str, str] | None, get: Get) -> RegistryImage | None:
    """What *reference* is in its registry now; None if that cannot be found out.

    Args:
        reference: name with tag or digest.
        architecture: wanted of an image for several, such as ``amd64``.
        login: user and password.
        get: makes a request.
    """
    name = parse_name(reference)
    for scheme in ("https", "http") if name.may_be_http else ("https",):
        try:
            return _look_up(name, scheme, architecture, login, get)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _look_up(
    name: RegistryName, scheme: str, architecture: str, login: tuple[str, str] | None, get: Get
) -> RegistryImage:
    session = _Session(f"{scheme}://{name.api}/v2/{name.repository}/manifests/", login, get)
    manifest, digest = session.manifest(name.tag)
    if "manifests" in manifest:
        fitting = [each for each in manifest["manifests"] if _is_for(each.get("platform") or {}, architecture)]
        manifest, _ = session.manifest(str(fitting[0]["digest"]) if fitting else "")
    identity = str(manifest["config"]["digest"])
    host = "" if name.host == "docker.io" else f"{name.host}/"
    repository = name.repository.removeprefix("library/") if not host else name.repository
    return RegistryImage(f"{host}{repository}@{digest}", identity, architecture, scheme == "http")


def _is_for(platform: Mapping[str, Any], architecture: str) -> bool:
    return platform.get("os") == "linux" and platform.get("architecture") == architecture


class _Session:
    def __init__(self, url: str, login: tuple[str, str] | None, get: Get) -> None:
        self._url = url
        self._login = login
        self._get = get
        self._authorization = ""

    def manifest(self, tag: str) -> tuple[dict[str, Any], str]:
        if not tag:
            raise ValueError("no manifest fits")
        reply = self._asked(tag)
        if reply.status == _UNAUTHORISED and not self._authorization:
            self._authorization = self._authorize(reply.headers.get("www-authenticate", ""))
            reply = self._asked(tag)
        if reply.status != _SUCCESS:
            raise ValueError(f"status {reply.status}")
        digest = f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        parsed: dict[str, Any] = json.loads(reply.body)
        return parsed, digest

    def _asked(self, tag: str) -> Reply:
        own = {"Authorization": self._authorization} if self._authorization else {}
        return self._get(self._url + tag, {"Accept": _ACCEPT, **own})

    def _authorize(self, challenge: str) -> str:
        """https://distribution.github.io/distribution/spec/auth/token/ ."""
        basic = base64.b64encode(":".join(self._login).encode()).decode() if self._login else ""
        if challenge.lower().startswith("basic"):
            return f"Basic {basic}" if basic else "Basic"
        given = dict(_CHALLENGE.findall(challenge))
        realm = given.pop("realm")
        reply = self._get(
            f"{realm}?{urllib.parse.urlencode(given)}", {"Authorization": f"Basic {basic}"} if basic else {}
        )
        token = json.loads(reply.body)
        return f"Bearer {token.get('token') or token['access_token']}"


def get_here(url: str, headers: Mapping[str, str]) -> Reply:
    """GET by this machine."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - http or https, by `look_up`
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as reply:  # noqa: S310
            return Reply(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, {name.lower(): value for name, value in error.headers.items()}, error.read())


_CURL = (
    'command -v curl >/dev/null || exit 9; printf "@reply "; '
    "curl --silent --include --http1.1 --max-time 20 --config - | base64"
)


def get_there(channel: Channel) -> Get:
    """GET at a site, by its ``curl``; headers go to its stdin, since they hold tokens."""

    def get(url: str, headers: Mapping[str, str]) -> Reply:
        lines = [f"url = {json.dumps(url)}", *(f"header = {json.dumps(f'{n}: {v}')}" for n, v in headers.items())]
        done = channel.run(["sh", "-c", _CURL], stdin="\n".join([*lines, ""]).encode())
        _, mark, encoded = done.stdout.partition("@reply ")
        content = base64.b64decode(encoded) if mark else b""
        return _parse_reply(content)

    return get


_REACHES = 'command -v curl >/dev/null || exit 0; curl --silent --output /dev/null --max-time 20 "$1"'


def reaches(channel: Channel, reference: str) -> bool:
    """Return whether a site reaches the registry of *reference*; a site without ``curl`` is taken to."""
    name = parse_name(reference)
    schemes = ("https", "http") if name.may_be_http else ("https",)
    urls = [f"{scheme}://{name.api}/v2/" for scheme in schemes]
    return any(channel.run(["sh", "-c", _REACHES, "cnflow", url]).exit_code == 0 for url in urls)


def _parse_reply(content: bytes) -> Reply:
    """Parse HTTP/1.1 with its headers.

    Raises:
        OSError: it is none.
    """
    reply = list(_blocks_of(content))
    if not reply:
        raise OSError("curl got no answer")
    head, body = reply[-1]
    first, _, lines = head.decode("latin-1").partition("\r\n")
    headers = email.parser.Parser().parsestr(lines)
    return Reply(int(first.split()[1]), {name.lower(): value for name, value in headers.items()}, body)


def _blocks_of(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield head and body; replies to a proxy's CONNECT, and those that only continue, come before the last."""
    while content.startswith(b"HTTP/"):
        head, _, content = content.partition(b"\r\n\r\n")
        yield head, content
