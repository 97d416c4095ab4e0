"""Runs the front: one event loop, sockets that listen already, and an end without a lost request.

::

    HttpServer(app, settings, sockets).serve()
        drain() ──> not ready ──drain_delay──> no more connections ──drain_timeout──> what is left is cut off
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from cnflow.errors import ConfigurationError
from cnflow.serving.http.connections import Watch, guarded
from cnflow.serving.http.front import Front, RequestMetrics
from cnflow.serving.http.gate import Gate
from cnflow.serving.http.keys import ApiKeys
from cnflow.serving.http.routes import Readiness, build_routes
from cnflow.serving.http.tls import file_stamps, reload_certificate, tls_context

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from starlette.types import Receive, Scope, Send

    from cnflow.config.http_front import HttpSettings
    from cnflow.serving.service import ModelService, ServiceAdmin

logger = logging.getLogger(__name__)


class HttpApp:
    """ASGI app of a service."""

    def __init__(self, front: Front, keys: ApiKeys, readiness: Readiness) -> None:
        self.front = front
        self.keys = keys
        self.readiness = readiness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.front(scope, receive, send)


def build_app(
    service: ModelService,
    settings: HttpSettings,
    metrics: RequestMetrics | None = None,
    admin: ServiceAdmin | None = None,
) -> HttpApp:
    """Return the ASGI app that serves *service*.

    Args:
        service: that answers.
        settings: limits and keys.
        metrics: that count requests, and are shown at ``/metrics``; None for neither.
        admin: that changes versions; None for a front without such addresses.

    Raises:
        ConfigurationError: the keys cannot be read.
    """
    keys = ApiKeys(settings.api_keys, settings.key_file)
    readiness = Readiness(service)
    routes = build_routes(service, settings, readiness, metrics, admin)
    return HttpApp(Front(service, settings, Gate(settings, keys), routes, metrics), keys, readiness)


def listen(settings: HttpSettings, backlog: int = 2048) -> socket.socket:
    """Return a socket that listens at the address of *settings*; port 0 is any that is free.

    Raises:
        ConfigurationError: the port is taken, or the address is none of this machine.
    """
    host, port = settings.listen, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(backlog)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"The server cannot listen on {host}:{port}: {error.strerror or error}. "
            "Choose another port, or any free one with port=0."
        ) from error
    return found


class _Server(uvicorn.Server):
    """Without signal handlers, which belong to the command, and drained by a call."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """One front in one event loop."""

    def __init__(self, app: HttpApp, settings: HttpSettings, sockets: Sequence[socket.socket]) -> None:
        """Take *sockets*, which listen.

        Raises:
            ConfigurationError: the files of TLS cannot be used.
        """
        self._app = app
        self._settings = settings
        self._sockets = list(sockets)
        self._port = int(self._sockets[0].getsockname()[1])
        self._context = tls_context(settings)
        self._stamps = file_stamps(settings)
        self._draining: asyncio.Task[None] | None = None
        config = uvicorn.Config(
            app,
            http=guarded(settings),
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(settings.idle_timeout) or 1,
            timeout_graceful_shutdown=int(settings.drain_timeout),
        )
        config.load()
        config.ssl = self._context
        self._server = _Server(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._has_started = threading.Event()

    @property
    def port(self) -> int:
        """Port of the first socket."""
        return self._port

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._server.server_state.connections)

    async def serve(self) -> None:
        """Serve until drained."""
        self._loop = asyncio.get_running_loop()
        watch = asyncio.ensure_future(Watch(self._server.server_state, self.reload).run())
        self._loop.call_soon(self._has_started.set)
        try:
            await self._server.serve(sockets=self._sockets)
        finally:
            watch.cancel()

    def run(self) -> None:
        """Serve until drained, in a new event loop of uvloop in this thread."""
        import uvloop  # noqa: PLC0415 - not needed where the loop is the caller's

        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(self.serve())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def start(self) -> None:
        """Serve in a thread, and return once it does."""
        self._thread = threading.Thread(target=self.run, name="cnflow-http", daemon=True)
        self._thread.start()
        self._has_started.wait()

    def stop(self) -> None:
        """Drain, and wait for the thread of `start`."""
        assert self._loop is not None, "start() comes first"
        assert self._thread is not None, "start() comes first"
        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self.drain)
        self._thread.join()

    def drain(self) -> None:
        """Begin the end; `serve` returns when it is reached. Called in the event loop."""
        if self._draining is None:
            self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        self._app.readiness.is_draining = self._app.front.is_ending = True
        await asyncio.sleep(self._settings.drain_delay)
        self._server.should_exit = True

    def reload(self) -> None:
        """Read the files of keys and of the certificate again, if they have changed."""
        self._app.keys.reload()
        if self._context is not None:
            self._stamps = reload_certificate(self._context, self._settings, self._stamps)
