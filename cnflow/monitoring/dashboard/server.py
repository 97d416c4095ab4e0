"""Serves the dashboard from one process, until it is ended."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn

from cnflow.errors import ConfigurationError
from cnflow.monitoring.dashboard.app import build_app

if TYPE_CHECKING:
    from cnflow.monitoring.queries.reader import Reader

_CLOSE_TIMEOUT = 1
"""Seconds that open streams may delay the end."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        ConfigurationError: the port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        raise ConfigurationError(
            f"The dashboard cannot listen on {host}:{port}: {error.strerror or error}. "
            "Choose another port with --port, or any free one with --port 0."
        ) from error
    return found


def address_of(listener: socket.socket, token: str) -> str:
    """Return the address to open in a browser; that of a listener on all interfaces has the name of this machine."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={quote(token)}" if token else "")


def serve(reader: Reader, listener: socket.socket, *, token: str, hosts: tuple[str, ...], can_act: bool) -> None:
    """Serve the dashboard of *reader* on *listener* until SIGINT or SIGTERM."""
    app = build_app(reader, token=token, hosts=hosts, can_act=can_act)
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=_CLOSE_TIMEOUT
    )
    uvicorn.Server(settings).run(sockets=[listener])
