"""One cluster: sends requests to its API server from any thread, and reads its watches.

::

    Cluster.connect(address) ──> credentials ──> connection pool, client-side limit
    request(method, path, body) ──> limit ──> sent ──┬── 2xx ──────────────> JSON
        │                                            ├── 401, once ────────> credentials are loaded anew
        │                                            ├── 429, 503 + Retry-After ─> sent again within the timeout
        │                                            └── any other ────────> ApiError
        └── no answer ──> a GET is sent once more ──> ClusterError
    watch(path, query) ──> WatchStream: events until the server ends it, or close()

Importing this module imports the client, 0.9 s of CPU: do it where a cluster is needed, not before.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from kubernetes.client.rest import RESTClientObject

from cnflow.kubernetes_api.credentials import ClusterAddress, Credentials, bearer_token, load_credentials
from cnflow.kubernetes_api.errors import (
    NOT_FOUND,
    TOO_MANY,
    UNAUTHORIZED,
    ClusterError,
    ClusterRejectedError,
    api_error,
)
from cnflow.kubernetes_api.rate_limit import RateLimit
from cnflow.kubernetes_api.watch_stream import WatchStream
from cnflow.kubernetes_api.websocket import StreamAddress
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Cluster", "ClusterAddress", "ObjectList"]

_UNAVAILABLE = 503
_OK = 400
_TIMEOUT = Seconds(30.0)
_CONNECT = 10.0
_CONNECTIONS = 32
_RATE, _BURST = 200.0, 2000
"""More than the three requests of each block that a provider submits, at once and in the long run. No more than a few
are in flight at a time, by which servers measure (priority and fairness); beyond that they answer 429, which is obeyed.
See https://kubernetes.io/docs/concepts/cluster-administration/flow-control/."""

_PAGE = 500
_WATCH_PERIOD = 300
"""Seconds after which the server ends a watch, so that a dead connection is noticed."""

_BOOKMARK_SILENCE = 120.0
"""Seconds without a byte after which a watch is given up; the server sends a bookmark about once a minute."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class ObjectList(NamedTuple):
    """All objects of a list at one moment."""

    items: Sequence[Mapping[str, Any]]
    version: str
    """Resource version of that moment, from which a watch goes on."""


class Cluster:
    """Connection to one API server, for all threads. `connect` makes it.

    Args:
        address: by which credentials are loaded anew when they expire.
        credentials: for the server.
        timeout: seconds within which it must answer a request that has no time of its own.
    """

    def __init__(self, address: ClusterAddress, credentials: Credentials, timeout: Seconds = _TIMEOUT) -> None:
        self._address = address
        self._timeout = timeout
        self._credentials = credentials
        self._pool = _pool_for(credentials)
        self._limit = RateLimit(_RATE, _BURST)
        self._lock = threading.Lock()
        self._streams: set[WatchStream] = set()

    @classmethod
    def connect(cls, address: ClusterAddress, timeout: Seconds = _TIMEOUT) -> Cluster:
        """Load credentials; nothing is sent. Arguments are those of the class.

        Raises:
            ClusterRejectedError: *address* leads to no cluster; the message has the user's next step.
        """
        return cls(address, load_credentials(address), timeout)

    @property
    def namespace(self) -> str:
        """Namespace of the settings, else of the context or the pod."""
        return self._credentials.namespace

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._credentials.configuration.host)

    @property
    def source(self) -> str:
        """Origin of the credentials, for messages."""
        return self._credentials.source

    @property
    def is_inside(self) -> bool:
        """True if this process runs in a pod of the cluster."""
        return self._credentials.is_inside

    @property
    def credentials(self) -> Credentials:
        """For connections that are no plain requests: those of exec and port-forward."""
        return self._credentials

    def stream_address(self) -> StreamAddress:
        """Address and credentials for a `cnflow.kubernetes_api.websocket`, with a token that is valid now."""
        known = self._credentials.configuration
        return StreamAddress(
            self.server,
            self._authorization(),
            ca_file=known.ssl_ca_cert,
            cert_file=known.cert_file,
            key_file=known.key_file,
            is_verified=bool(known.verify_ssl),
            server_name=known.tls_server_name,
            proxy=known.proxy,
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        timeout: Seconds | None = None,
    ) -> Any:  # noqa: ANN401 - JSON
        """Send a request and return the answer's JSON.

        Args:
            method: such as ``GET`` or ``PATCH``.
            path: of `cnflow.kubernetes_api.paths`.
            body: becomes JSON; None sends none.
            query: parameters of the URL.
            content_type: of the body; kinds of patches differ by it.
            timeout: seconds for all tries together; None takes those of the connection.

        Raises:
            ApiError: the server refuses.
            ClusterError: it does not answer, or something else does.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": JSON} | ({} if body is None else {"Content-Type": content_type})
        answer = self._send(method, path, data, query or {}, headers, timeout or self._timeout)
        try:
            return json.loads(answer) if answer else None
        except ValueError as error:
            raise ClusterError(
                f"What answers at {self.server} ({self.source}) is no API server: {answer[:100]!r}\n"
                "A proxy in between may want you to sign in: see whether `kubectl get pods` works from here."
            ) from error

    def text(self, path: str, query: Mapping[str, str] | None = None, timeout: Seconds | None = None) -> bytes:
        """Return an answer that is no JSON, such as a log.

        Raises:
            ApiError, ClusterError: as `request`.
        """
        return self._send("GET", path, None, query or {}, {"Accept": "*/*"}, timeout or self._timeout)

    def get(self, path: str) -> Any | None:  # noqa: ANN401 - JSON
        """Return an object; None if there is none.

        Raises:
            ApiError, ClusterError: as `request`.
        """
        try:
            return self.request("GET", path)
        except ClusterError as error:
            if getattr(error, "status", 0) == NOT_FOUND:
                return None
            raise

    def list_all(self, path: str, selector: str = "", *, fields: str = "") -> ObjectList:
        """Return all objects of a list, read page by page.

        Args:
            path: of the list.
            selector: of labels.
            fields: selector of fields.

        Raises:
            ApiError, ClusterError: as `request`.
        """
        query = _selectors(selector, fields) | {"limit": str(_PAGE)}
        items: list[Mapping[str, Any]] = []
        while True:
            page = self.request("GET", path, query=query)
            items += page["items"]
            if not page["metadata"].get("continue"):
                return ObjectList(items, page["metadata"]["resourceVersion"])
            query = {**query, "continue": page["metadata"]["continue"]}

    def watch(self, path: str, version: str, selector: str = "", *, fields: str = "") -> WatchStream:
        """Return the changes of a list since *version*, which come with bookmarks.

        Raises:
            ApiError: the server refuses; with status 410, *version* is too old, and the list has to be read again.
            ClusterError: it does not answer.
        """
        query = _selectors(selector, fields) | {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_PERIOD),
        }
        return self.follow(path, query, silence=Seconds(_BOOKMARK_SILENCE))

    def follow(self, path: str, query: Mapping[str, str], *, silence: Seconds | None = None) -> WatchStream:
        """Return an answer that goes on: a watch's, or a log's with ``follow``.

        Args:
            path: of the resource.
            query: parameters of the URL.
            silence: seconds without a byte after which it ends; None waits for ever.

        Raises:
            ApiError, ClusterError: as `request`.
        """
        self._limit.wait()
        timeout = urllib3.Timeout(connect=_CONNECT, read=silence)
        credentials = self._credentials
        response = self._answer("GET", path, None, query, {"Accept": "*/*"}, timeout, stream=True)
        if response.status == UNAUTHORIZED:
            self._reload(credentials)
            response.close()
            response = self._answer("GET", path, None, query, {"Accept": "*/*"}, timeout, stream=True)
        if response.status >= _OK:
            body = response.read()
            response.release_conn()
            raise api_error(self.server, response.status, body)
        stream = WatchStream(response, self._streams.discard)
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """End all streams, and close the connections."""
        for stream in tuple(self._streams):
            stream.close()
        self._pool.clear()

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str],
        headers: dict[str, str],
        timeout: Seconds,
    ) -> bytes:
        deadline = time.monotonic() + timeout
        reloaded = False
        while True:
            self._limit.wait()
            left = max(1.0, deadline - time.monotonic())
            limits = urllib3.Timeout(connect=min(_CONNECT, left), read=left)
            credentials = self._credentials
            response = self._answer(method, path, data, query, headers, limits)
            if response.status < _OK:
                return bytes(response.data)
            if response.status == UNAUTHORIZED and not reloaded:
                self._reload(credentials)
                reloaded = True
                continue
            pause = _pause_of(response)
            if pause is None or time.monotonic() + pause > deadline:
                raise api_error(self.server, response.status, bytes(response.data))
            time.sleep(pause)

    def _answer(  # noqa: PLR0913 - a request has these parts
        self,
        method: str,
        path: str,
        data: bytes | None,
        query: Mapping[str, str],
        headers: dict[str, str],
        timeout: urllib3.Timeout,
        *,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        tries = 2 if method == "GET" else 1  # a connection that was kept may be dead
        for left in reversed(range(tries)):
            try:
                return self._pool.request(
                    method,
                    self.server + path + (f"?{urlencode(query)}" if query else ""),
                    body=data,
                    headers=headers | self._authorization(),
                    timeout=timeout,
                    retries=False,
                    preload_content=not stream,
                )
            except (urllib3.exceptions.HTTPError, OSError) as error:
                if not left:
                    raise self._no_answer(error) from error
        raise AssertionError

    def _authorization(self) -> dict[str, str]:
        with self._lock:  # the client's hooks that refresh a token are written for one thread
            token = bearer_token(self._credentials.configuration)
        return {"Authorization": token} if token else {}

    def _reload(self, refused: Credentials) -> None:
        """Load the credentials anew, as a plugin may give others by now; once for all threads that sent *refused*.

        Raises:
            ClusterRejectedError: there are none.
        """
        with self._lock:
            if self._credentials is not refused:
                return
            self._credentials = load_credentials(self._address)
            self._pool, pool = _pool_for(self._credentials), self._pool
        pool.clear()

    def _no_answer(self, error: Exception) -> ClusterError:
        cause = getattr(error, "reason", None) or error
        if "certificate" in str(cause).lower():
            return ClusterRejectedError(
                f"The server at {self.server} does not show the certificate that {self.source} expects: {cause}\nFetch "
                "the kubeconfig anew from your cluster; a proxy in between may also show its own certificate."
            )
        return ClusterError(
            f"The API server at {self.server} ({self.source}) does not answer: {cause}\n"
            "See whether `kubectl get pods` works from here: a VPN, a proxy or a firewall may be in between."
        )


def _selectors(labels: str, fields: str) -> dict[str, str]:
    return ({"labelSelector": labels} if labels else {}) | ({"fieldSelector": fields} if fields else {})


def _pause_of(response: urllib3.BaseHTTPResponse) -> float | None:
    """Return the seconds after which the server wants the request again; None if it does not."""
    if response.status not in {TOO_MANY, _UNAVAILABLE}:
        return None
    try:
        return max(0.1, float(response.headers.get("Retry-After", "")))
    except ValueError:
        return None


def _pool_for(credentials: Credentials) -> urllib3.PoolManager:
    """Return the client's pool, which knows certificates and proxies of the kubeconfig."""
    credentials.configuration.connection_pool_maxsize = _CONNECTIONS
    return RESTClientObject(credentials.configuration).pool_manager
