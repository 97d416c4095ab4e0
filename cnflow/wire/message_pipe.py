"""Carries a stream of bytes in messages, so that a `Stream` can use an encrypted ZeroMQ connection. No I/O.

A client's bridge and the interchange of a pool have one end each; their owners send and receive the messages::

    Stream ── send, sendmsg ──> MessagePipe ── DATA, offset 0 ───────> MessagePipe ── recv, recv_into ──> Stream
                                    │       ── DATA, offset 65536 ──────> │ chunks
                     WINDOW bytes are on their way:                       │
                     BlockingIOError, as of a full socket                 │
                                    │ <── CREDIT, 131072 bytes were read ─┤
                     room again: `is_writable`                            │
                                    ├── CLOSE, with a reason ───────────> │ end of file, behind the last bytes

So a stream that its reader does not read stands still: ZeroMQ queues no more than `WINDOW` bytes of it. A connection
that broke loses messages: the next one shows it by its offset, and ends the pipe. Its session goes on over another one.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.pipe import Part

    Send = Callable[[bytes, bytes], None]
    """Sends one message: its head, and what follows."""

_HEAD = struct.Struct("<BQ")
"""Kind and number: offset of the bytes of DATA, number of bytes that were read in CREDIT, else 0."""

OPEN, GREETING, DATA, CREDIT, CLOSE = range(1, 6)
"""Kinds. The client opens the pipe with an `Opening`, and gets a word; the reason of CLOSE is text, perhaps empty."""

WINDOW = 4 * 2**20
"""Bytes that were sent and not yet read by the `Stream` at the other end."""

_MOST_DATA = 2**18
_CREDIT_AFTER = WINDOW // 4


def head_of(kind: int, number: int = 0) -> bytes:
    """First frame of a message."""
    return _HEAD.pack(kind, number)


def parse_head(head: bytes) -> tuple[int, int]:
    """Kind and number of a message.

    Raises:
        ValueError: no end of a pipe sends this.
    """
    if len(head) != _HEAD.size:
        raise ValueError(f"the head of a message of a pipe has {len(head)} bytes")
    kind, number = _HEAD.unpack(head)
    if not OPEN <= kind <= CLOSE:
        raise ValueError(f"a message of unknown kind {kind} in a pipe")
    return kind, number


class MessagePipe:
    """One end; has those methods of a non-blocking socket that a `Stream` calls.

    Args:
        send: sends one message to the other end.
        number: stands for the descriptor in a poller of the owner; below -1, so that it is none.

    Attributes:
        reason: text of the other end's CLOSE.
        is_closed: this end was closed.
    """

    def __init__(self, send: Send, number: int = -2) -> None:
        self._send = send
        self._number = number
        self._chunks: deque[memoryview] = deque()
        self._is_ended = self.is_closed = False
        self.reason = ""
        self._sent = self._read_there = 0
        self._received = self._read = self._credited = 0

    # For the owner

    @property
    def is_readable(self) -> bool:
        """True if `recv` would return bytes, or the end; False once this end is closed, when nobody reads any more."""
        return not self.is_closed and (bool(self._chunks) or self._is_ended)

    @property
    def room(self) -> int:
        """Bytes that `send` takes now."""
        return WINDOW - (self._sent - self._read_there)

    def on_message(self, kind: int, number: int, content: bytes) -> None:
        """Handle a message of the other end.

        Raises:
            ValueError: it does not follow the ones before, which a connection that broke may have lost.
        """
        if kind == DATA:
            size = len(content)
            if number != self._received or self._received + size - self._read > WINDOW:
                raise ValueError(
                    f"bytes from {number} on in a pipe, after {self._received} of which {self._read} are read"
                )
            self._received += size
            if size:
                self._chunks.append(memoryview(content))
        elif kind == CREDIT:
            if not self._read_there <= number <= self._sent:
                raise ValueError(f"{number} bytes of a pipe were read, of {self._sent}")
            self._read_there = number
        elif kind == CLOSE:
            self.end(content.decode(errors="replace"))
        else:
            raise ValueError(f"a message of kind {kind} in an open pipe")

    def end(self, reason: str = "") -> None:
        """Let the reader find the end, behind what has arrived."""
        self._is_ended = True
        self.reason = self.reason or reason

    # As a socket

    def fileno(self) -> int:
        """Number of this pipe for its owner's poller."""
        return self._number

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as of a socket
        """Nothing: a pipe never blocks."""

    def recv(self, size: int, /) -> bytes:
        """Return up to *size* bytes; none at the end."""
        parts = []
        while self._chunks and size:
            parts.append(self._take(size))
            size -= len(parts[-1])
        return b"".join(parts) if self._on_read(sum(map(len, parts))) else b""

    def recv_into(self, buffer: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Read into *buffer*; return the number of bytes, 0 at the end."""
        at, most = 0, len(buffer)
        while self._chunks and at < most:
            part = self._take(most - at)
            buffer[at : at + len(part)] = part
            at += len(part)
        return self._on_read(at)

    def send(self, data: Part, /) -> int:
        """Send as much of *data* as there is room for; return the number of bytes."""
        if self.is_closed or self._is_ended:
            raise BrokenPipeError
        with memoryview(data) as view, view.cast("B") as content:
            size = min(len(content), self.room, _MOST_DATA)
            if size <= 0:
                raise BlockingIOError
            piece = data if isinstance(data, bytes) and len(data) == size else bytes(content[:size])
        self._send(head_of(DATA, self._sent), piece)
        self._sent += size
        return size

    def sendmsg(self, parts: Sequence[Part], /) -> int:
        """Send as much of *parts* as there is room for in one message; return the number of bytes."""
        if len(parts) == 1:
            return self.send(parts[0])
        pieces, left = [], min(self.room, _MOST_DATA)
        for part in parts:
            view = memoryview(part).cast("B")[:left]
            pieces.append(view)
            left -= len(view)
            if left <= 0:
                break
        return self.send(b"".join(pieces))

    def close(self) -> None:
        """Send CLOSE, unless the other end has; what was not read is dropped."""
        if not self.is_closed:
            self.is_closed = True
            self._chunks.clear()
            if not self._is_ended:
                self._send(head_of(CLOSE), b"")

    def _take(self, most: int) -> memoryview:
        chunk = self._chunks.popleft()
        if len(chunk) > most:
            self._chunks.appendleft(chunk[most:])
            return chunk[:most]
        return chunk

    def _on_read(self, size: int) -> int:
        if not size and not self._is_ended:
            raise BlockingIOError
        self._read += size
        if self._read - self._credited >= _CREDIT_AFTER:
            self._credited = self._read
            self._send(head_of(CREDIT, self._read), b"")
        return size
