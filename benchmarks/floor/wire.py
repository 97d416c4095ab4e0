"""Bytes of the floor: batches of items between ZeroMQ sockets, records on the socket pairs of the workers."""

from __future__ import annotations

import pickle
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Sequence

OUT_OF_BAND = 64 * 1024
"""Bytes from which a part travels as a frame of its own."""

_BUFFER = 256 * 1024
_HEADER = struct.Struct("<QHHI")  # id, function, number of parts, bytes of all parts
_LENGTH = struct.Struct("<I")


class Item(msgspec.Struct, array_like=True):
    """Task, or its result on the way back."""

    id: int
    function: int
    """Index in `benchmarks.functions.FUNCTIONS`."""

    body: bytes
    """Pickled value; empty when it is the first of the frames."""

    frames: int = 0


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Item]).decode


def item(number: int, function: int, value: object) -> tuple[Item, list[Any]]:
    """Pickle *value* into an item and its large parts."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, 5, buffer_callback=buffers.append)
    return from_parts(number, function, [body, *(buffer.raw() for buffer in buffers)])


def from_parts(number: int, function: int, parts: list[Any]) -> tuple[Item, list[Any]]:
    """Return the item of a record's *parts*, and the large parts."""
    if len(parts) == 1 and len(parts[0]) < OUT_OF_BAND:
        return Item(number, function, bytes(parts[0])), []
    return Item(number, function, b"", len(parts)), parts


def pair(head: bytes | memoryview, frames: Sequence[Any]) -> Iterator[tuple[Item, list[Any]]]:
    """Yield each item of a message with its parts, the body first."""
    taken = 0
    for one in decode(head):
        yield one, [frame.buffer for frame in frames[taken : taken + one.frames]] if one.frames else [one.body]
        taken += one.frames


class Record(NamedTuple):
    """Task or result on a worker's socket."""

    id: int
    function: int
    parts: list[Any]


def pack(number: int, function: int, parts: Sequence[Any]) -> list[Any]:
    """Return a record as chunks to write; large parts are not copied."""
    sizes = [memoryview(part).nbytes for part in parts]
    table = b"".join(map(_LENGTH.pack, sizes))
    head = _HEADER.pack(number, function, len(parts), sum(sizes)) + table
    return [head + parts[0]] if sum(sizes) < OUT_OF_BAND and len(parts) == 1 else [head, *parts]


class Pipe:
    """One end of a worker's socket pair."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._buffer = bytearray(_BUFFER)
        self._filled = 0
        self._out: deque[memoryview] = deque()

    @property
    def unsent(self) -> bool:
        """Return True if the socket was full; call `flush` when it is writable."""
        return bool(self._out)

    def write(self, chunks: Iterable[Any]) -> None:
        """Queue *chunks*."""
        self._out.extend(memoryview(chunk).cast("B") for chunk in chunks)

    def flush(self) -> None:
        """Write as much as the socket takes."""
        while self._out:
            try:
                sent = self.socket.sendmsg([self._out[n] for n in range(min(64, len(self._out)))])
            except BlockingIOError:
                return
            while sent:
                first = self._out.popleft()
                if len(first) > sent:
                    self._out.appendleft(first[sent:])
                sent -= min(sent, len(first))

    def read(self) -> Iterator[Record]:
        """Yield records that are complete after one read; a record larger than the buffer gets its own."""
        try:
            got = self.socket.recv_into(memoryview(self._buffer)[self._filled :])
        except BlockingIOError:
            return
        if not got:
            raise EOFError
        self._filled += got
        at = 0
        while self._filled - at >= _HEADER.size:
            number, function, count, size = _HEADER.unpack_from(self._buffer, at)
            start = at + _HEADER.size + count * _LENGTH.size
            if self._filled < start + size:
                break
            yield Record(number, function, self._parts(at + _HEADER.size, count))
            at = start + size
        else:
            size = start = 0
        self._make_room(at, max(_BUFFER, start + size - at))

    def _make_room(self, at: int, need: int) -> None:
        """Move the bytes from *at* on to a buffer of *need* bytes. Parts of a large record may keep the old buffer."""
        left = self._filled - at
        if need != len(self._buffer):
            old, self._buffer = self._buffer, bytearray(need)
            self._buffer[:left] = memoryview(old)[at : self._filled]
        elif at:
            self._buffer[:left] = self._buffer[at : self._filled]
        self._filled = left

    def _parts(self, at: int, count: int) -> list[Any]:
        view = memoryview(self._buffer)
        start = at + count * _LENGTH.size
        parts: list[Any] = []
        for n in range(count):
            (size,) = _LENGTH.unpack_from(self._buffer, at + n * _LENGTH.size)
            part = view[start : start + size]
            parts.append(part if len(self._buffer) > _BUFFER else bytes(part))
            start += size
        return parts
