"""Frames on a stream socket: an `asyncio.Protocol` that both ends of the link share.

What is sent during one turn of the event loop leaves in one write: under load, one system call carries many answers.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cnflow.serving.link.messages import LENGTH, frame

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from cnflow.serving.link.messages import FrontMessage, ServerMessage

_LARGE = 64 * 1024
"""Bytes of a frame that is written by itself, without being copied together with others."""


class Frames(asyncio.Protocol):
    """One end of a link.

    Args:
        on_frame: called with the content of each frame that came.
        on_lost: called once when the other end is gone.
    """

    def __init__(self, on_frame: Callable[[memoryview], None], on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._to_send: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self.is_lost = False

    @classmethod
    async def over(
        cls, end: socket.socket, on_frame: Callable[[memoryview], None], on_lost: Callable[[], None]
    ) -> Frames:
        """Begin to read and write *end*, which belongs to the frames from now on."""
        end.setblocking(False)
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(on_frame, on_lost), sock=end)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Implements `asyncio.Protocol`."""
        self._transport = transport  # type: ignore[assignment]  # of a stream; uvloop's is no asyncio.Transport

    def data_received(self, data: bytes) -> None:
        """Implements `asyncio.Protocol`: passes on each frame that is whole."""
        received = self._received
        if received:
            received += data
            if len(received) < LENGTH.size or len(received) < LENGTH.size + LENGTH.unpack_from(received)[0]:
                return
            data = bytes(received)
            received.clear()
        view, start, end = memoryview(data), 0, len(data)
        while end - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(data, start)
            following = start + LENGTH.size + length
            if following > end:
                break
            self._on_frame(view[start + LENGTH.size : following])
            start = following
        if start < end:
            received += view[start:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Implements `asyncio.Protocol`."""
        del exc
        self.is_lost = True
        self._to_send.clear()
        self._writable.set()
        self._on_lost()

    def pause_writing(self) -> None:
        """Implements `asyncio.Protocol`."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Implements `asyncio.Protocol`."""
        self._writable.set()

    def send(self, message: FrontMessage | ServerMessage) -> None:
        """Send *message* at the end of this turn of the loop; dropped where the other end is gone."""
        if self.is_lost:
            return
        if not self._to_send:
            self._loop.call_soon(self._flush)
        self._to_send.append(frame(message))

    async def writable(self) -> None:
        """Wait until the other end reads, or is gone."""
        await self._writable.wait()

    def close(self) -> None:
        """Close, after what was sent before."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        frames, self._to_send = self._to_send, []
        if self._transport is None or self.is_lost or not frames:
            return
        small: list[bytes] = []
        for each in frames:
            if len(each) < _LARGE:
                small.append(each)
                continue
            if small:
                self._transport.write(b"".join(small))
                small = []
            self._transport.write(each)
        if small:
            self._transport.write(b"".join(small))
