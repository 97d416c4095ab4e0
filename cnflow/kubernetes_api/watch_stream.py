"""An answer of the API server that goes on: the events of a watch, or a log that is followed."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_BROKEN = (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError)
"""What reading raises when the connection breaks, or another thread closes it."""

_PIECE = 1 << 16


class WatchStream:
    """An open answer, read by one thread; `close` may be called by any other.

    Args:
        response: of which nothing was read yet.
        closed: called with this stream once it is closed.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, closed: Callable[[WatchStream], object]) -> None:
        self._response = response
        self._closed = closed

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield events, ``{"type": "ADDED", "object": {...}}``, until the connection ends; see `metav1.WatchEvent`.

        The last event may be one of type ``ERROR``, whose object is a ``Status``.
        """
        for line in self.lines():
            yield json.loads(line)

    def lines(self) -> Iterator[bytes]:
        """Yield whole lines, without their ends, until the connection ends or is closed."""
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line)

    def chunks(self) -> Iterator[bytes]:
        """Yield what comes, as it comes, until the connection ends or is closed."""
        try:
            with contextlib.suppress(*_BROKEN):
                yield from self._response.stream(_PIECE)
        finally:
            self.close()

    def close(self) -> None:
        """End the connection; a thread that reads from it stops at once."""
        self._closed(self)
        connection = getattr(self._response, "_connection", None) or getattr(self._response, "connection", None)
        sock = getattr(connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the method of ssl, which is not for two threads
        self._response.close()
