"""Connections that a client cannot hold for nothing: limits of head, body, reading and number, and word of its going.

::

    connection ──head_timeout──> head complete ──body_timeout──> body complete ──> response ──idle_timeout──> closed
                                                                                  └ send_timeout without a byte read

A `Watch` looks at all connections once a second, so that a request costs no timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from cnflow.config.http_front import HttpSettings

_MOST_HEADERS = 128
_MOST_HEAD = 64 * 1024
_COPIED = 64 * 1024
_NEVER = float("inf")
_clock = time.monotonic


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    settings: HttpSettings
    """Set on the subclass that `guarded` makes."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        self.waiting: asyncio.Task[Any] | None = None
        self.is_lost = False
        self._deadline = _clock() + self.settings.head_timeout
        self._is_head = True
        self._head_bytes = 0
        self._stalled_since = _NEVER
        self._refusal: tuple[int, str, str] = (400, "bad_http", "This is no HTTP request.")
        if len(self.connections) > self.settings.max_connections:
            self._refuse(503, "too_many_connections", "The server has as many connections as it takes. Try again.")

    def connection_lost(self, exc: Exception | None) -> None:
        """End what the client waits for no more."""
        self.is_lost = True
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as long as the head is not too long."""
        if self.transport.is_closing():
            return
        was_head = self._is_head
        super().data_received(data)
        if was_head and self._is_head and self.parser is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MOST_HEAD and not self.transport.is_closing():
                self._refuse(431, "head_too_large", f"The head of the request has more than {_MOST_HEAD} bytes.")

    def on_message_begin(self) -> None:
        """Begin the clock of a request's head."""
        super().on_message_begin()
        self._is_head = True
        self._head_bytes = 0
        self._deadline = _clock() + self.settings.head_timeout

    def on_headers_complete(self) -> None:
        """Begin the clock of its body."""
        self._is_head = False
        self._deadline = _clock() + self.settings.body_timeout
        if len(self.headers) > _MOST_HEADERS or len(self.url) > _MOST_HEAD:
            self._refusal = (431, "head_too_large", f"The request has a long address, or over {_MOST_HEADERS} headers.")
            raise ValueError(self._refusal[2])
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["cnflow.connection"] = self
        super().on_headers_complete()
        scope["cnflow.cycle"] = self.cycle

    def on_message_complete(self) -> None:
        """Stop the clock."""
        self._deadline = _NEVER
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Begin the clock of a client that does not read."""
        self._stalled_since = _clock()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop that clock."""
        self._stalled_since = _NEVER
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; *msg* is uvicorn's."""
        del msg
        if not self.transport.is_closing():
            self._refuse(*self._refusal)

    def reply(self, scope: Scope, headers: list[tuple[bytes, bytes]], content: bytes) -> bool:
        """Write a whole response with status 200 at once, as uvicorn would in two turns; False if that has to wait.

        Header names and values are the caller's, without line ends.
        """
        cycle: RequestResponseCycle = scope["cnflow.cycle"]
        if self.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        lines = [b"%b: %b\r\n" % each for each in cycle.default_headers]
        lines += [b"%b: %b\r\n" % each for each in headers]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        head = b"%b%bcontent-length: %d\r\n\r\n" % (STATUS_LINE[200], b"".join(lines), len(content))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.transport.write(head + content if len(content) < _COPIED else head)
        if len(content) >= _COPIED:
            self.transport.write(content)
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def look(self, now: float) -> None:
        """Close the connection if its client takes too long."""
        if self.transport.is_closing():
            return
        if now - self._stalled_since > self.settings.send_timeout:
            self.transport.abort()
        elif now > self._deadline and not self.pipeline:
            if self._is_head and self._is_answering():
                return  # the request before this one is still answered
            if self._is_head or not self.cycle.response_started:
                what = "head" if self._is_head else "body"
                self._refuse(408, "timeout", f"The {what} of the request is not complete in time.")
            else:
                self.transport.abort()

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        if self._is_answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class Watch:
    """Looks at all connections, and at files that may have changed."""

    def __init__(self, state: ServerState, reload: Callable[[], None]) -> None:
        self._state = state
        self._reload = reload

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(1.0)
            now = _clock()
            for connection in list(self._state.connections):
                with contextlib.suppress(AttributeError):  # one whose connection is being made
                    connection.look(now)  # type: ignore[union-attr]
            turn += 1
            if turn % 10 == 0:
                self._reload()


def guarded(settings: HttpSettings) -> type[GuardedProtocol]:
    """Return the protocol with *settings*: uvicorn makes one for each connection, with arguments of its own."""
    return type("GuardedProtocol", (GuardedProtocol,), {"settings": settings})
