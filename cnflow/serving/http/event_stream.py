"""Server-sent events of ``:stream``.

::

    data: PIECE                  each piece of the model's stream(), JSON
    : wait                       after some seconds without a piece, so that proxies keep the connection
    event: end                   after the last one, with their number
    event: error                 instead, if the model fails in between; with what a response would have

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from cnflow.serving.http.problems import problem_body
from cnflow.serving.http.request_body import ClientGoneError
from cnflow.serving.service import ServingError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Send

logger = logging.getLogger(__name__)

BEAT = 15.0
"""Seconds without a piece after which a comment is sent."""


def event(data: bytes, kind: bytes = b"") -> bytes:
    """Return one event; JSON has line ends between its tokens alone, where another line of data begins. No I/O."""
    head = b"event: %b\n" % kind if kind else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.splitlines())
    return b"%bdata: %b\n\n" % (head, data)


async def send_events(
    pieces: AsyncIterator[Any],
    receive: Receive,
    send: Send,
    headers: list[tuple[bytes, bytes]],
    first_within: float,
) -> int:
    """Send *pieces* as they come, and return the status.

    Args:
        pieces: bytes of JSON each; closed at the end, whatever the end is.
        receive: of the request, whose body has been read.
        send: of the request.
        headers: of the response.
        first_within: seconds for the first piece.

    Raises:
        ServingError: before the first piece; nothing has been sent.
        ClientGoneError: the client has closed the connection.
    """
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        return await _Sender(pieces, send, gone, headers).run(first_within)
    finally:
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone


class _Sender:
    """One response."""

    def __init__(
        self, pieces: AsyncIterator[Any], send: Send, gone: asyncio.Future[None], headers: list[tuple[bytes, bytes]]
    ) -> None:
        self._pieces = pieces
        self._send = send
        self._gone = gone
        self._headers = headers
        self._request_id = dict(headers).get(b"x-request-id", b"").decode()
        self._next: asyncio.Future[bytes | None] | None = None
        self._count = 0

    async def run(self, first_within: float) -> int:
        try:
            piece = await self._piece(first_within, is_first=True)
            await self._start()
            return await self._go_on(piece)
        finally:
            await self._close()

    async def _go_on(self, piece: bytes | None) -> int:
        """Send *piece* and those behind it; None is the end."""
        try:
            while piece is not None:
                await self._body(event(piece))
                self._count += 1
                piece = await self._piece(BEAT, is_first=False)
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - the client is told, the log has the reason
            await self._body(event(problem_body(self._problem(error), self._request_id, is_protocol=False), b"error"))
            await self._send({"type": "http.response.body", "body": b""})
            return 500
        last = event(b'{"pieces":%d}' % self._count, b"end")
        await self._send({"type": "http.response.body", "body": last})
        return 200

    async def _piece(self, within: float, *, is_first: bool) -> bytes | None:
        """Return the next piece; None at their end."""
        self._next = asyncio.ensure_future(anext(self._pieces, None))
        while True:
            await asyncio.wait((self._next, self._gone), timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if self._gone.done():
                raise ClientGoneError
            if self._next.done():
                return self._next.result()
            if is_first:
                raise ServingError(f"No piece within {within:g} s.", 504, "timeout")
            await self._body(b": wait\n\n")

    async def _start(self) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),  # nginx sends each piece on at once
            *self._headers,
        ]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def _problem(self, error: Exception) -> ServingError:
        if isinstance(error, ServingError):
            return error
        logger.error("Stream %s failed", self._request_id, exc_info=error)
        return ServingError("The server failed to go on; its log has the reason.", 500, "internal")

    async def _body(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def _close(self) -> None:
        if self._next is not None and not self._next.done():
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._next
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
