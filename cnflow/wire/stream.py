"""Messages over a stream socket between two processes of one machine: the driver and its interchange.

ZeroMQ passes each message through an I/O thread at both ends, which takes a third of the round trip of a small task;
between two processes of one machine that thread has no use. A message is a list of frames, as in ZeroMQ. Its bytes::

    count of frames   length of each frame      frames
    <I                <Q <Q ...                 ... ...

The way of a message; neither end ever blocks::

    send ──> SendBuffer ── sendmsg ──> socket ── recv ──> _buffer ── _read_lengths ──> _sizes
              │  ^  socket full                               │                          │
              v  │                                            ├── small frame: copied ───┴──> _message ──> yielded
           has_unsent: the owner's poller calls flush         └── large frame: _filling, received in place ──^

The other end closed: `receive` sets `is_closed`, `send` drops the bytes.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnflow.wire.pipe import Part

_COUNT = struct.Struct("<I")
_SIZE = 8
_SINGLE = struct.Struct("<IQ")
"""Before the frame of a message that has only one, as most have."""

_CHUNK = 256 * 1024
_LARGE = 64 * 1024
"""Bytes from which a frame is neither copied for sending nor buffered while it arrives."""

_MAX_CHUNKS = 64
"""Chunks per system call; far below the limit of any system (IOV_MAX)."""

_MAX_FRAMES = 2**20
"""Frames of a message of an end that is not trusted."""


class ByteSocket(Protocol):
    """Those methods of a non-blocking stream socket that a `Stream` calls."""

    def setblocking(self, flag: bool, /) -> None:  # noqa: FBT001 - as of a socket
        """See `socket.socket.setblocking`; called with False."""

    def fileno(self) -> int:
        """See `socket.socket.fileno`."""

    def recv(self, size: int, /) -> bytes:
        """See `socket.socket.recv`."""

    def recv_into(self, buffer: Any, /) -> int:  # noqa: ANN401 - any buffer
        """See `socket.socket.recv_into`."""

    def send(self, data: Part, /) -> int:
        """See `socket.socket.send`."""

    def sendmsg(self, parts: Sequence[Part], /) -> int:
        """See `socket.socket.sendmsg`."""

    def close(self) -> None:
        """See `socket.socket.close`."""


class SendBuffer:
    """Chunks that a non-blocking socket has yet to take.

    Args:
        sink: the socket.
        most: bytes that one `flush` writes, even if the reader keeps pace: its owner has other work, too.
    """

    def __init__(self, sink: ByteSocket, most: float = math.inf) -> None:
        self._socket = sink
        self._most = most
        self.chunks: deque[Part] = deque()
        """Chunks that are left."""

    def __bool__(self) -> bool:
        return bool(self.chunks)

    def put(self, chunks: Iterable[Part]) -> None:
        """Queue *chunks*, which must not change, for the next `flush`."""
        self.chunks.extend(chunks)

    def send(self, chunk: Part) -> None:
        """Write one small chunk, which must not change, and queue what the socket does not take."""
        if self.chunks:
            self.chunks.append(chunk)
            self.flush()
            return
        try:
            sent = self._socket.send(chunk)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # as in `flush`
        if sent < len(chunk):
            self.chunks.append(memoryview(chunk)[sent:])

    def flush(self) -> None:
        """Write as much as the socket takes, many small chunks at once.

        All chunks are dropped when the other end is gone: the reader of the socket notices that.
        """
        room = self._most
        try:
            while self.chunks and room > 0:
                batch = [self.chunks[i] for i in range(min(len(self.chunks), _MAX_CHUNKS))]
                sent = self._socket.sendmsg(batch)
                room -= sent
                self._remove_sent(sent)
        except BlockingIOError:
            return
        except OSError:
            self.chunks.clear()

    def _remove_sent(self, sent: int) -> None:
        while sent:
            first = self.chunks[0]
            size = first.nbytes if isinstance(first, memoryview) else len(first)
            if size > sent:
                self.chunks[0] = memoryview(first)[sent:]
                return
            self.chunks.popleft()
            sent -= size


class Stream:
    """One end of the connection; never blocks. One thread at a time may send, and one may receive.

    Args:
        end: connected socket; `close` closes it.
        largest: bytes of one frame that the other end may send; 0 is no limit.

    Attributes:
        raw: the socket, for a poller.
        is_closed: the other end has closed.
        has_received: bytes have arrived since the owner last set this to False, perhaps only a part of a message.
    """

    def __init__(self, end: ByteSocket, largest: int = 0) -> None:
        end.setblocking(False)
        self.raw = end
        self._largest = largest
        self.is_closed = False
        self.has_received = False
        self._unsent = SendBuffer(end)
        self._buffer = bytearray()
        self._message: list[Any] = []
        self._sizes: deque[int] = deque()
        self._filling: Optional[memoryview] = None
        """Missing rest of the last frame of `_message`, if that frame is large; None if nothing is missing."""

    @property
    def has_unsent(self) -> bool:
        """True if the socket was full; call `flush` once it is writable."""
        return bool(self._unsent.chunks)

    def send(self, frames: Sequence[Any]) -> None:
        """Send one message, as far as the socket takes it now; large frames must not change until they are sent.

        An empty list sends nothing.
        """
        if not frames:
            return
        if len(frames) == 1 and type(frames[0]) is bytes and len(frames[0]) < _LARGE:
            self._unsent.send(_SINGLE.pack(1, len(frames[0])) + frames[0])
            return
        parts: list[Part] = [getattr(frame, "buffer", frame) for frame in frames]
        sizes = [_length(part) for part in parts]
        small = bytearray(_COUNT.pack(len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes))
        for part, size in zip(parts, sizes):
            if size < _LARGE:
                small += part
                continue
            self._unsent.put([small, part] if small else [part])
            small = bytearray()
        if small:
            self._unsent.put([small])
        self._unsent.flush()

    def send_line(self, line: bytes) -> None:
        """Send a line of text, before the first message."""
        self._unsent.put([line + b"\n"])
        self._unsent.flush()

    def flush(self) -> None:
        """Write as much of the unsent bytes as the socket takes."""
        self._unsent.flush()

    def receive(self) -> Iterator[list[Any]]:
        """Yield messages that have arrived: small frames as bytes, large ones as bytearrays. Exhaust the iterator.

        Raises:
            ValueError: a frame is larger than allowed.
        """
        data = b""
        while True:
            try:
                if self._filling is None:
                    data = self.raw.recv(_CHUNK)
                    got = len(data)
                else:
                    got = self._fill(self._filling)
            except BlockingIOError:
                return
            except OSError:  # reset
                got = 0
            if not got:
                self.is_closed = True
                return
            self.has_received = True
            if data:
                if not self._buffer and not self._sizes and not self._message:
                    at = 0
                    while end := _end_of_single(data, at):
                        yield [data[at + _SINGLE.size : end]]
                        at = end
                    data = data[at:]
                self._buffer += data
                data = b""
            yield from self._messages()
            if got < _CHUNK // 4 and self._filling is None:
                return  # a further system call would find nothing

    def close(self) -> None:
        """Close the socket; unsent bytes are dropped."""
        self.raw.close()

    def _fill(self, rest: memoryview) -> int:
        """Read *rest* of a large frame, or a part of it, from the socket; return the number of bytes."""
        got = self.raw.recv_into(rest)
        self._filling = rest[got:] if got < len(rest) else None
        return got

    def _messages(self) -> Iterator[list[Any]]:
        """Yield the messages that are complete in the buffer, and keep the rest."""
        at = 0
        while self._filling is None:
            if not self._sizes and not self._message:
                begun = self._read_lengths(at)
                if begun is None:
                    break
                at = begun
            if self._sizes:
                taken = self._read_frame(at)
                if taken is None:
                    break
                at = taken
            if not self._sizes and self._filling is None:
                message, self._message = self._message, []
                yield message
        del self._buffer[:at]

    def _read_lengths(self, at: int) -> Optional[int]:
        """Parse the lengths at *at*; return the position of the first frame, or None if more bytes are needed."""
        if len(self._buffer) < at + _COUNT.size:
            return None
        (count,) = _COUNT.unpack_from(self._buffer, at)
        if self._largest and count > _MAX_FRAMES:
            raise ValueError(f"a message of {count} frames")
        start = at + _COUNT.size
        if len(self._buffer) < start + count * _SIZE:
            return None
        sizes = struct.unpack_from(f"<{count}Q", self._buffer, start)
        if self._largest and max(sizes, default=0) > self._largest:
            raise ValueError(f"a frame of {max(sizes)} bytes")
        self._sizes.extend(sizes)
        return int(start + count * _SIZE)

    def _read_frame(self, at: int) -> Optional[int]:
        """Parse the frame at *at*; return the position after it, or None if more bytes are needed."""
        size = self._sizes[0]
        there = len(self._buffer) - at
        if size < _LARGE:
            if there < size:
                return None
            self._message.append(bytes(self._buffer[at : at + size]))
            self._sizes.popleft()
            return at + size
        frame = bytearray(size)
        begun = min(there, size)
        with memoryview(self._buffer) as view:
            frame[:begun] = view[at : at + begun]
        self._message.append(frame)
        self._sizes.popleft()
        if begun < size:
            self._filling = memoryview(frame)[begun:]
        return at + begun


def _end_of_single(data: bytes, at: int) -> int:
    """Position after the message at *at* if it is all there, and one small frame; else 0."""
    begin = at + _SINGLE.size
    if len(data) < begin:
        return 0
    count, size = _SINGLE.unpack_from(data, at)
    end = begin + size
    return end if count == 1 and size < _LARGE and end <= len(data) else 0


def _length(part: Union[bytes, bytearray, memoryview]) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)
