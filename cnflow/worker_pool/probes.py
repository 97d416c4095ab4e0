"""HTTP for probes and Prometheus: ``/healthz``, ``/readyz`` and ``/metrics``, in threads of their own.

========= ===================================================================================================
Path      Answer
========= ===================================================================================================
/healthz  200 while the server's process answers; a kubelet restarts its container otherwise
/readyz   200 once drivers can connect with each pool, else 503 with the name of one that is not ready, and why
/metrics  text format of Prometheus
========= ===================================================================================================

Nothing here is secret, and nothing changes anything: no authentication. Each connection has a thread; beyond
`_MOST_CONNECTIONS` the one that is open for longest is closed, so that peers that say nothing keep no kubelet out.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError
from cnflow.prometheus_text import TYPE
from cnflow.worker_pool.metrics import metrics_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.worker_pool.status import PoolStatus

logger = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"
_MOST_CONNECTIONS = 32
_TIMEOUT = 10.0
"""Seconds that a connection may be silent."""


class ProbeServer:
    """Serves the paths of the module.

    Args:
        host: address to listen at.
        port: TCP port.
        statuses: returns the state of each pool; called from any thread.

    Raises:
        ConfigurationError: the address cannot be used.
    """

    def __init__(self, host: str, port: int, statuses: Callable[[], Sequence[PoolStatus]]) -> None:
        class Handler(_Handler):
            answer = staticmethod(lambda path: answer(path, statuses))

        class Server(_BoundedServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server((host.strip("[]"), port), Handler)
        except OSError as error:
            raise ConfigurationError(
                f"http_port={port} of {host} cannot be used: {error.strerror or error}. Set another one, or leave "
                "http_port= out."
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="cnflow-http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def answer(path: str, statuses: Callable[[], Sequence[PoolStatus]]) -> tuple[HTTPStatus, str, str]:
    """Return the answer for *path*: code, type and text."""
    match path.partition("?")[0]:
        case "/healthz":
            return HTTPStatus.OK, _TEXT, "ok\n"
        case "/readyz":
            waiting = [pool for pool in statuses() if not pool.is_ready]
            if not waiting:
                return HTTPStatus.OK, _TEXT, "ok\n"
            lines = [f"pool {pool.name} is not ready: {pool.error or 'it starts'}\n" for pool in waiting]
            return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, "".join(lines)
        case "/metrics":
            return HTTPStatus.OK, TYPE, metrics_text(statuses())
        case _:
            return HTTPStatus.NOT_FOUND, _TEXT, "known paths: /healthz, /readyz, /metrics\n"


class _BoundedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, None] = {}
        """Sockets of connections, the oldest first."""

        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the signature of socketserver
        """Begin to serve a connection, in the place of the oldest one if there are too many."""
        with self._lock:
            self._open[request] = None
            if len(self._open) > _MOST_CONNECTIONS:
                oldest = next(iter(self._open))
                del self._open[oldest]
                with contextlib.suppress(OSError):  # its peer has left
                    oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as above
        """Close a connection that was served."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    answer: Callable[[str], tuple[HTTPStatus, str, str]]
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        """Answer one request."""
        code, kind, text = self.answer(self.path)
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - the signature of http.server
        """Log a request for those who look for it alone: probes come each second."""
        logger.debug(format, *args)
