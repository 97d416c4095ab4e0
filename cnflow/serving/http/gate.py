"""Who may ask for what: API keys, and which web sites' scripts. No I/O.

::

    health, and an OPTIONS of a browser ──> in
    Origin of another site that is not allowed ──> 403     scripts of any page reach the ports of their user's machine
    keys are needed: none, or a wrong one ──> 401          an address of /admin, and no admin's key ──> 403
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cnflow.config.http_front import is_loopback
from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Scope

    from cnflow.config.http_front import HttpSettings
    from cnflow.serving.http.keys import ApiKeys

OPEN = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""Addresses that probes ask, without a key."""

_DOCS = frozenset({"/", "/docs", "/docs.css", "/docs.js"})
"""Pages that are the same for everyone; what they show is fetched with the key."""

_EXPOSED = b"x-request-id, x-model-version, server-timing, inference-header-content-length, retry-after"

_Headers = tuple[tuple[bytes, bytes], ...]


class Gate:
    """Lets requests in, or says why not."""

    def __init__(self, settings: HttpSettings, keys: ApiKeys) -> None:
        self._keys = keys
        self._are_needed = keys.are_needed
        self._origins = frozenset(settings.allow_origins)
        self._admins = frozenset(settings.admin_keys)
        self._open = OPEN | _DOCS | (frozenset({"/metrics"}) if settings.open_metrics else frozenset())

    def enter(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[str, _Headers]:
        """Return the name of the key, empty where none is needed, and headers that the response needs.

        Raises:
            ServingError: the request is refused.
        """
        origin = headers.get(b"origin")
        extra = () if origin is None else self._cross_origin(origin, headers)
        path = scope["path"]
        if not self._are_needed:
            if path.startswith("/admin/"):
                raise ServingError("Versions are changed over HTTP with a key of admin_keys alone.", 403, "forbidden")
            return "", extra
        if path in self._open or scope["method"] == "OPTIONS":
            return "", extra
        name = self._keys.name_of(headers)
        if name is None:
            has = b"authorization" in headers or b"x-api-key" in headers
            raise ServingError(
                "The API key is not known." if has else "An API key is needed: Authorization: Bearer KEY.",
                401,
                "unauthorized",
            )
        if path.startswith("/admin/") and name not in self._admins:
            raise ServingError(f"The key {name!r} is none of admin_keys.", 403, "forbidden")
        return name, extra

    def _cross_origin(self, origin: bytes, headers: Mapping[bytes, bytes]) -> _Headers:
        text = origin.decode("latin-1")
        if text in self._origins or "*" in self._origins:
            return (
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _EXPOSED),
                (b"vary", b"Origin"),
            )
        host = headers.get(b"host", b"").decode("latin-1")
        # Without keys, a name that another site has made to resolve to this machine would be of the same origin.
        if urlsplit(text).netloc == host and (self._are_needed or _is_own(host)):
            return ()
        raise ServingError(
            f"Scripts of {text!r} may not call this server; allow_origins names those that may.", 403, "forbidden"
        )


def _is_own(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    return is_loopback(name) or name.replace(".", "").isdecimal() or ":" in name
