"""Who may ask the dashboard: names of the host, the token, and headers that a browser obeys.

::

    /?token=T ──> cookie (HttpOnly, SameSite=Strict), redirected to the address without the token
    cookie, or "Authorization: Bearer T" ──> page      otherwise 401
    no token is wanted, Host is none of ours ──> 421: a page of another site whose name resolves to this machine
"""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers as RequestHeaders
from starlette.datastructures import MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_DENIED = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Token needed</title><h1>A token is needed</h1>"
    "<p>Open the address that <code>cnflow monitor</code> printed; it ends with <code>?token=...</code>.</p></html>"
)


class Headers:
    """Adds the headers that keep a browser from running or loading what is not the dashboard's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Gate:
    """Lets requests in that bring the token, and that call the dashboard by a name that it has."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: tuple[str, ...] = (), can_act: bool = True) -> None:
        self._app = app
        self._token = token
        self._hosts = {*LOOPBACK, *hosts}
        self._csrf = secrets.token_urlsafe(24) if can_act else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        scope.setdefault("state", {})["csrf"] = self._csrf
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = RequestHeaders(scope=scope)
        host = headers.get("host", "")
        if not self._token and not self._is_own(host):  # a cookie is sent to the name alone that it was set for
            return JSONResponse(
                {"error": f"This dashboard is not called {host!r}. Name it with --host-name."}, status_code=421
            )
        if not self._token or scope["path"].startswith("/static/"):  # the same for everyone
            return None
        cookie = _cookie_name(host)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None and scope["method"] == "GET":
            return self._entered(scope, query, cookie) if self._is_token(given) else _denied(scope)
        bearer = headers.get("authorization", "")
        if bearer.lower().startswith("bearer ") and self._is_token(bearer[7:].strip()):
            return None
        return None if self._is_token(_cookie_of(headers.get("cookie", ""), cookie)) else _denied(scope)

    def _is_own(self, host: str) -> bool:
        name = host[: host.rindex("]") + 1] if "]" in host else host.partition(":")[0]
        return "*" in self._hosts or name.lower() in self._hosts

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _entered(self, scope: Scope, query: list[tuple[str, str]], cookie: str) -> Response:
        """Keep the token in a cookie, so that no address that is copied or logged has it."""
        rest = urlencode([each for each in query if each[0] != "token"])
        path = "/" + scope["path"].lstrip("/")  # never another host's, as //host would be
        response = RedirectResponse(path + (f"?{rest}" if rest else ""), status_code=303)
        response.set_cookie(cookie, self._token, httponly=True, samesite="strict", max_age=30 * 86_400)
        return response


def _denied(scope: Scope) -> Response:
    if scope["path"].startswith("/api/") or scope["path"] == "/metrics":
        return JSONResponse({"error": "A token is needed: Authorization: Bearer TOKEN"}, status_code=401)
    return HTMLResponse(_DENIED, status_code=401)


def _cookie_name(host: str) -> str:
    """Name of the cookie; with the port, since browsers share cookies between all ports of a machine."""
    port = host.rpartition(":")[2]
    return f"cnflow_{port}" if port.isdigit() else "cnflow"


def _cookie_of(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""
