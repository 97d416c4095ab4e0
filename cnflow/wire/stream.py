"""Messages over a stream socket between two processes of one machine: the driver and its interchange.

ZeroMQ moves each message through a thread of its own at either end, which is a third of the way there and back of a
small task; between two processes of one machine none of what that is good for is needed. A message is a list of frames,
as in ZeroMQ: their number, their lengths, then the frames.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cnflow.wire.pipe import Part

_COUNT = struct.Struct("<I")
_SIZE = 8
_CHUNK = 256 * 1024
_LARGE = 64 * 1024
"""Bytes from which a frame is not copied together with its neighbours, and is received where it stays."""

_AT_ONCE = 64
"""Chunks that one system call takes; far below what any system allows (IOV_MAX)."""


class Unsent:
    """What a socket that does not block has yet to take."""

    def __init__(self, sink: socket.socket) -> None:
        self._socket = sink
        self._chunks: deque[Part] = deque()

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, chunks: Iterable[Part]) -> None:
        """Queue *chunks*, which must not change; they leave with the next `flush`."""
        self._chunks.extend(chunks)

    def flush(self) -> None:
        """Write as much as the socket takes, many small chunks at once.

        Nothing is left when the other end is gone: that is noticed where one reads from it.
        """
        try:
            while self._chunks:
                batch = [self._chunks[i] for i in range(min(len(self._chunks), _AT_ONCE))]
                self._drop(self._socket.sendmsg(batch))
        except BlockingIOError:
            return
        except OSError:
            self._chunks.clear()

    def _drop(self, sent: int) -> None:
        while sent:
            first = self._chunks[0]
            size = first.nbytes if isinstance(first, memoryview) else len(first)
            if size > sent:
                self._chunks[0] = memoryview(first)[sent:]
                return
            self._chunks.popleft()
            sent -= size


class Stream:
    """One end of it; never blocks. Not to be written to, nor to be read from, by two threads at the same time.

    Args:
        end: connected; is closed with this.

    Attributes:
        raw: the same, for a poller.
        is_closed: the other end is.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.raw = end
        self.is_closed = False
        self._unsent = Unsent(end)
        self._buffer = bytearray()
        self._message: list[Any] = []
        self._sizes: deque[int] = deque()
        self._filling: Optional[memoryview] = None
        """What is missing of the last frame of the message, while that is a large one."""

    @property
    def wants_to_write(self) -> bool:
        """Whether the socket was full; call `flush` when it is writable."""
        return bool(self._unsent)

    def send(self, frames: Sequence[Any]) -> None:
        """Send one message, now as far as the socket takes it; large frames must not change until they have left.

        One without frames is none.
        """
        if not frames:
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

    def flush(self) -> None:
        """Write what is left."""
        self._unsent.flush()

    def received(self) -> Iterator[list[Any]]:
        """Messages that are there now: small frames as bytes, large ones as bytearrays. Run it to its end."""
        while True:
            try:
                got = self._receive()
            except BlockingIOError:
                return
            except OSError:  # reset
                got = 0
            if not got:
                self.is_closed = True
                return
            yield from self._messages()
            if got < _CHUNK // 4 and self._filling is None:
                return  # another look would find nothing, at the price of this one

    def close(self) -> None:
        """Close it; what has not left is dropped."""
        self.raw.close()

    def _receive(self) -> int:
        """Bytes that came."""
        if self._filling is None:
            data = self.raw.recv(_CHUNK)
            self._buffer += data
            return len(data)
        got = self.raw.recv_into(self._filling)
        self._filling = self._filling[got:] if got < len(self._filling) else None
        return got

    def _messages(self) -> Iterator[list[Any]]:
        """Those that are whole in the buffer; the rest of it stays."""
        at = 0
        while self._filling is None:
            if not self._sizes and not self._message:
                begun = self._begin(at)
                if begun is None:
                    break
                at = begun
            if self._sizes:
                taken = self._take(at)
                if taken is None:
                    break
                at = taken
            if not self._sizes and self._filling is None:
                message, self._message = self._message, []
                yield message
        del self._buffer[:at]

    def _begin(self, at: int) -> Optional[int]:
        """Read lengths; where the frames begin, or None when not all is there."""
        if len(self._buffer) < at + _COUNT.size:
            return None
        (count,) = _COUNT.unpack_from(self._buffer, at)
        start = at + _COUNT.size
        if len(self._buffer) < start + count * _SIZE:
            return None
        self._sizes.extend(struct.unpack_from(f"<{count}Q", self._buffer, start))
        return int(start + count * _SIZE)

    def _take(self, at: int) -> Optional[int]:
        """Read the next frame; where the one after it begins, or None when not all of it is there."""
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


def _length(part: Union[bytes, bytearray, memoryview]) -> int:
    return part.nbytes if isinstance(part, memoryview) else len(part)


def pair() -> tuple[Stream, socket.socket]:
    """This process's end, and the one that a child is to inherit."""
    ours, theirs = socket.socketpair()
    return Stream(ours), theirs
