"""Frames of the WebSocket protocol, as an API server and its client exchange them. No I/O.

::

    message (opcode, payload) ──encode──> bytes, masked ──> server         RFC 6455, sections 5.2 to 5.5
    server ──> bytes ──FrameReader.feed──> whole messages; fragments are joined

The client masks each frame, the server none.
"""

from __future__ import annotations

import secrets
import struct
from enum import IntEnum
from typing import NamedTuple

_FINAL, _MASKED = 0x80, 0x80
_MEDIUM, _LONG = 126, 127
"""Values of the length's seven bits after which 2 or 8 bytes of length follow."""

_LARGEST = 64 * 2**20
"""Bytes of a message; API servers send far smaller ones."""


class Opcode(IntEnum):
    """Kinds of frames, of which those from CLOSE on are never fragmented."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class WebSocketMessage(NamedTuple):
    """A whole message of the server."""

    opcode: int
    payload: bytes


class ProtocolError(Exception):
    """The other end does not speak the protocol."""


def encode(opcode: int, payload: bytes, mask: bytes | None = None) -> bytes:
    """Return the frame of a whole message.

    Args:
        opcode: of the message.
        payload: of the message.
        mask: four bytes that nobody can predict; None draws them.
    """
    mask = secrets.token_bytes(4) if mask is None else mask
    size = len(payload)
    if size < _MEDIUM:
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
    elif size < 2**16:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | _MEDIUM, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | _LONG, size)
    return head + mask + _masked(payload, mask)


def _masked(payload: bytes, mask: bytes) -> bytes:
    """XOR of *payload* and the repeated *mask*, in one operation on long integers: byte by byte takes 100 x as long."""
    size = len(payload)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


class FrameReader:
    """Cuts the bytes of a server into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = 0
        self._fragments: list[bytes] = []

    def feed(self, data: bytes) -> list[WebSocketMessage]:
        """Return the messages that *data* completes.

        Raises:
            ProtocolError: *data* is no frame, or too long a one.
        """
        self._buffer += data
        messages = []
        while (frame := self._next_frame()) is not None:
            if (message := self._join(*frame)) is not None:
                messages.append(message)
        return messages

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take a frame from the buffer: its first byte and payload; None if it is not complete."""
        buffer = self._buffer
        if len(buffer) < 2:  # noqa: PLR2004 - the shortest frame
            return None
        if buffer[1] & _MASKED:
            raise ProtocolError("the server masks its frames")
        start, size = 2, buffer[1]
        if size >= _MEDIUM:
            start = 4 if size == _MEDIUM else 10
            size = int.from_bytes(buffer[2:start], "big")
        if size > _LARGEST:
            raise ProtocolError(f"the server sends a frame of {size} bytes")
        if len(buffer) < start + size:
            return None
        first, payload = buffer[0], bytes(buffer[start : start + size])
        del buffer[: start + size]
        return first, payload

    def _join(self, first: int, payload: bytes) -> WebSocketMessage | None:
        """Return the message that a frame completes; None for a fragment."""
        opcode = first & 0x0F
        if opcode >= Opcode.CLOSE:  # may come between fragments
            return WebSocketMessage(opcode, payload)
        if opcode != Opcode.CONTINUATION:
            self._opcode, self._fragments = opcode, []
        self._fragments.append(payload)
        if not first & _FINAL:
            return None
        payload, self._fragments = b"".join(self._fragments), []
        return WebSocketMessage(self._opcode, payload)
