"""Asks HTTP servers: proxies, certificates, headers from secrets, redirections; used by `http` and `http_upload`.

::

    request ──> 2xx ───────────────────────────────> answer
      ^    ──> 301, 302, 303, 307, 308 with GET, ──> the same request to the place that the answer names
      │        307, 308 with PUT                     │ secrets are sent only to the server of the URL
      │                                              └── back to where it was, or too often ──> RefusedError
      └──  ──> 4xx, 5xx ───────────────────────────> urllib.error.HTTPError
"""

from __future__ import annotations

import http.client
import ssl
from base64 import b64encode
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, NoReturn, Optional
from urllib.parse import quote, unquote, urljoin, urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from cnflow.tasks.staging.attempts import RefusedError
from cnflow.text import mask_url

if TYPE_CHECKING:
    from email.message import Message
    from urllib.parse import SplitResult

    from cnflow.tasks.staging.options import ServerOptions

# Characters that a URL may hold unquoted: https://www.rfc-editor.org/rfc/rfc3986#section-2.
_SAFE = "%/:=&?~#+!$,;'@()*[]"
_MOST_REDIRECTIONS = 20
_KEEPS_METHOD = {307, 308}
_SCHEMES = {"http", "https"}


class HttpServer:
    """Sends the requests for one URL.

    Args:
        parts: the URL.
        options: the user's settings.
    """

    def __init__(self, parts: SplitResult, options: ServerOptions) -> None:
        self._options = options
        self._parts = parts

    def request(self, method: str = "GET", body: Optional[IO[bytes]] = None, path: Optional[str] = None) -> Request:
        """Return a request for the URL, or for *path* on its server, with the secrets that belong to it.

        Raises:
            RefusedError: a secret cannot be read.
        """
        user, _, host = self._parts.netloc.rpartition("@")
        parts = self._parts._replace(netloc=host, fragment="")
        if path is not None:
            parts = parts._replace(path=path, query="")
        made = Request(quote(parts.geturl(), safe=_SAFE), data=body, method=method)  # noqa: S310 - http or https
        made.add_header("User-Agent", "cnflow")
        made.add_header("Accept-Encoding", "identity")
        if user:
            basic = b64encode(unquote(user).encode()).decode()
            made.add_unredirected_header("Authorization", f"Basic {basic}")
        for name, source in self._options.headers:
            text = source.read(f"header {name}")
            try:
                text.encode("latin-1")
            except UnicodeEncodeError:
                raise RefusedError(f"header {name}: its text has letters that HTTP cannot send") from None
            made.add_unredirected_header(name, text)
        return made

    def open(self, request: Request, timeout: float) -> Any:  # noqa: ANN401 - an HTTPResponse
        """Send *request*, follow redirections, and return the answer.

        Raises:
            RefusedError: the redirections lead nowhere, or the proxy refuses.
            OSError, http.client.HTTPException: urllib's own; HTTPError for an answer that is no success.
        """
        handlers = [_Http(), _Https(context=_context(self._options.authorities)), _Redirections()]
        proxy = self._options.proxy
        if proxy is not None:
            url = proxy.read("proxy")
            handlers.append(ProxyHandler(dict.fromkeys(_SCHEMES, url) if url else {}))
        try:
            return build_opener(*handlers).open(request, timeout=timeout)
        except OSError as error:
            if str(getattr(error, "reason", "")).startswith("Tunnel connection failed: 4"):
                raise RefusedError(f"the proxy refuses it: {error.reason}") from None  # type: ignore[attr-defined]
            raise


@lru_cache(maxsize=8)
def _context(authorities: str) -> ssl.SSLContext:
    return tls_context(authorities)


def tls_context(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts this machine's authorities, and *authorities* in the form PEM.

    Raises:
        RefusedError: these are no certificates.
    """
    context = ssl.create_default_context()
    if authorities:
        try:
            context.load_verify_locations(cadata=authorities)
        except (ssl.SSLError, ValueError) as error:
            raise RefusedError(f"the text of ca_file holds no certificates in the form PEM: {error}") from None
    return context


class _Listening:
    """Part of a connection: hears the answer of a server that did not want the whole request, such as 413."""

    def request(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the class beside it
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
        except (BrokenPipeError, ConnectionResetError):
            if self.sock is None:  # type: ignore[attr-defined]
                raise


class _HttpConnection(_Listening, http.client.HTTPConnection):
    pass


class _HttpsConnection(_Listening, http.client.HTTPSConnection):
    pass


class _Http(HTTPHandler):
    def http_open(self, req: Request) -> Any:  # noqa: ANN401 - an HTTPResponse
        return self.do_open(_HttpConnection, req)


class _Https(HTTPSHandler):
    def https_open(self, req: Request) -> Any:  # noqa: ANN401 - an HTTPResponse
        return self.do_open(_HttpsConnection, req, context=self._context)  # type: ignore[attr-defined]


class _Redirections(HTTPRedirectHandler):
    """Follows redirections of one request."""

    def __init__(self) -> None:
        self._seen: list[str] = []

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message) -> Any:  # noqa: ANN401, ARG002 - urllib's
        """Send *req* to the place that the answer names; return the answer, or None where none is named."""
        place = headers.get("Location") or headers.get("URI")
        method = req.get_method()
        if not place or (method not in {"GET", "HEAD"} and code not in _KEEPS_METHOD):
            return None
        target = urljoin(req.full_url, quote(place, safe=_SAFE))
        self._note(req.full_url, target)
        fp.read()
        fp.close()
        return self.parent.open(_redirected(req, target), timeout=req.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def _note(self, origin: str, target: str) -> None:
        if urlsplit(target).scheme not in _SCHEMES:
            raise RefusedError(f"the server redirects to {mask_url(target)}, which is no HTTP server")
        self._seen.append(origin)
        if target in self._seen:
            self._refuse("in a circle", target)
        if len(self._seen) > _MOST_REDIRECTIONS:
            self._refuse(f"more than {_MOST_REDIRECTIONS} times", target)

    def _refuse(self, how: str, target: str) -> NoReturn:
        first, last = mask_url(self._seen[0]), mask_url(target)
        raise RefusedError(f"the server redirects {how}, from {first} at last to {last}")


def _redirected(request: Request, target: str) -> Request:
    body: Any = request.data
    if body is not None:
        body.seek(0)
    headers = {name: value for name, value in request.headers.items() if name.lower() != "proxy-authorization"}
    made = Request(target, data=body, headers=headers, method=request.get_method())  # noqa: S310 - checked
    if _origin(target) == _origin(request.full_url):
        for name, value in request.unredirected_hdrs.items():
            if name.lower() != "host":
                made.add_unredirected_header(name, value)
    return made


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
