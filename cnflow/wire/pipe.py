"""Framing between a manager and one worker, over a socket pair; standard library only.

A record is ``type, id, seconds, number of parts``, then the parts' lengths, then the parts; the same both ways::

    manager -> worker   FUNCTION  id 0     parts: function id, kind and name, pickled function,
                                         ids of records of its modules; such a record comes in the same way, before it
                        TASK      task id, walltime in seconds (0: none)   parts: function id, body, buffers ...
                        BATCH     number of tasks, walltime of each   parts: function id; packed
                                         ``(task id, number of parts)`` of each task; then body, buffers ... of each
                                         (`batch_records` has more on these and on LOADED)
                        LOAD      id 0     parts: function id; load the model before its first task
                        UNLOAD    id 0     parts: function id; tear the model down, and forget the function
                        SEND_USAGE  id 0     parts: none; the run wants to know what tasks use
                        FORGET    id 0     parts: none; no task that follows is of a function from before
    worker -> manager   READY     id 0     parts: none; the worker may be given tasks
                        USAGE     task id, Unix time   parts: `cnflow.wire.usage`; before each result, and once in
                                         reply to SEND_USAGE
                        STAGING   task id, Unix time   parts: state, URL, bytes done, bytes in all; a file is moved
                        LOADED    id 0, seconds   parts: function id, error, description; in reply to LOAD
                        PARTIAL   task id, its number from 0   parts: python minor, body, buffers ...; a piece of a
                                         task's stream
                        ITEM      task id, 0   parts: key, size, form, name, path; before its result
                        VALUE and other `ResultKind`   task id, seconds it ran   parts: python minor, body, buffers ...

Orders to stop a task use a second pipe, which the worker reads in a signal handler, in the middle of whatever it does.
An order is the task's position among all tasks and batches written to this worker, from 0. A position, not an id: an
order that arrives late still names the right task when a task runs a second time.
"""

from __future__ import annotations

import enum
import struct
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Union

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Part = Union[bytes, bytearray, memoryview]

_HEADER = struct.Struct("<BQdI")
_STOP = struct.Struct("<Q")
_LENGTHS = [struct.Struct(f"<{n}Q") for n in range(8)]
_COPY_BELOW = 64 * 1024


class ToWorker(enum.IntEnum):
    """Types of the records that a manager sends."""

    FUNCTION = 1
    TASK = 2
    FORGET = 4
    SEND_USAGE = 5
    BATCH = 6
    LOAD = 7
    UNLOAD = 8


class ResultKind(enum.IntEnum):
    """End of one try of a task.

    Sent by: a worker (below 16), a manager (16 to 23), the interchange (24 to 31), any of them (32).
    """

    READY = 0
    VALUE = 1
    RAISED = 2
    UNPICKLABLE = 3
    """The function returned a value that cannot be pickled; the body is a sentence."""

    UNANSWERED = 9
    """No end: a batch of several tasks, of which this is one, was not done at its walltime; its parts are empty."""

    PARTIAL = 10
    """No end: a piece of the stream that the task returns, as VALUE has it; `Result.seconds` is its number, from 0."""

    LOADED = 11
    """No end of a task: a model is loaded, or cannot be."""

    USAGE = 12
    """No end: what the worker has used so far; the part is that of `cnflow.wire.usage`."""

    STAGING = 13
    """No end: a file of the task is moved; the parts are those of `cnflow.tasks.staging.steps.Step`."""

    ITEM = 14
    """No end: the task leaves this item, a file of the node's area; the parts are key, size, form, name and path."""

    WORKER_LOST = 16
    REFUSED = 17
    """Never begun: its code is for another Python; the body names both versions and the host."""

    TIMED_OUT = 18
    """The task did not stop at its walltime, and its worker was killed."""

    CUT_OFF = 19
    """The task was running when its manager had to end; the body names the place."""

    RETURNED = 20
    """Not begun when its manager had to end; the body names the place."""

    ARGUMENT_LOST = 21
    """Never begun: one of its large arguments cannot be had; the body is a sentence."""

    ITEM_LOST = 22
    """Never begun: one of its items cannot be had; the body is the item's key and a sentence."""

    DOES_NOT_FIT = 24
    """Never begun: no node has the resources; the body lists the request, then the nodes."""

    CANCELLED = 32
    """Stopped on request, or never begun; the body is empty."""


class Pieces:
    """Part to write that is not in one place: bytes as they arrived, which nothing has to copy together.

    Attributes:
        pieces: the bytes, in order.
    """

    __slots__ = ("pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[Part] = []
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def append(self, piece: Part) -> None:
        """Add bytes that follow those that are here."""
        self.pieces.append(piece)
        self.size += len(piece)


class Record(NamedTuple):
    """One record; large parts are bytearrays, so that arrays that are loaded from them are writable."""

    type: int
    id: int
    seconds: float
    parts: list[Part]


def _lengths(count: int) -> struct.Struct:
    return _LENGTHS[count] if count < len(_LENGTHS) else struct.Struct(f"<{count}Q")


def pack(kind: int, number: int, seconds: float, parts: Sequence[Union[Part, Pieces]]) -> list[Part]:
    """Chunks to write, in order: one for a small record; large parts stay separate and are not copied."""
    sizes = [part.nbytes if isinstance(part, memoryview) else len(part) for part in parts]
    head = _HEADER.pack(kind, number, seconds, len(parts)) + _lengths(len(parts)).pack(*sizes)
    if sum(sizes) < _COPY_BELOW:
        return [b"".join((head, *(b"".join(part.pieces) if isinstance(part, Pieces) else part for part in parts)))]
    chunks: list[Part] = [head]
    for part, size in zip(parts, sizes):
        if isinstance(part, Pieces):
            chunks.extend(part.pieces)
        elif size >= _COPY_BELOW or len(chunks[-1]) >= _COPY_BELOW:
            chunks.append(part)
        else:
            chunks[-1] = bytes(chunks[-1]) + bytes(part)
    return chunks


def pack_stop(number: int) -> bytes:
    """Order to stop the task at that position; one write of so few bytes is also read as a whole (pipe(7))."""
    return _STOP.pack(number)


def unpack_stops(data: bytes) -> list[int]:
    """Positions in *data*, any number of orders made by `pack_stop`."""
    return [number for (number,) in _STOP.iter_unpack(data)]


class _Unfinished:
    """Record with large parts that are still arriving; they grow where they stay."""

    def __init__(self, kind: int, number: int, seconds: float, sizes: Sequence[int]) -> None:
        self._head = kind, number, seconds
        self._sizes = deque(sizes)
        self._parts: list[bytearray] = []
        self._missing = 0

    def take(self, data: memoryview) -> int:
        """Add bytes that follow those that are here; return how many of them belong to this record."""
        taken = 0
        while self._missing or self._sizes:
            if not self._missing:
                self._missing = self._sizes.popleft()
                self._parts.append(bytearray())
            piece = data[taken : taken + self._missing]
            self._parts[-1] += piece
            taken += len(piece)
            self._missing -= len(piece)
            if self._missing:
                break
        return taken

    def record(self) -> Record | None:
        """Record, once it is complete."""
        if self._missing or self._sizes:
            return None
        return Record(*self._head, [part if len(part) >= _COPY_BELOW else bytes(part) for part in self._parts])


class Reader:
    """Parses bytes as they arrive into records."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._need = _HEADER.size
        self._unfinished: _Unfinished | None = None

    def feed(self, data: bytes) -> Iterator[Record]:
        """Append *data* and yield the records that are complete; exhaust the iterator before the next call."""
        if self._unfinished is not None:
            taken = self._unfinished.take(memoryview(data))
            large = self._unfinished.record()
            if large is None:
                return
            self._unfinished = None
            yield large
            data = data[taken:]
        self._buffer += data
        while len(self._buffer) - self._at >= self._need:
            record = self._next()
            if record is None:
                break
            yield record
        if self._at:
            del self._buffer[: self._at]
            self._at = 0

    def _next(self) -> Record | None:
        kind, number, seconds, count = _HEADER.unpack_from(self._buffer, self._at)
        table = _lengths(count)
        start = self._at + _HEADER.size + table.size
        if len(self._buffer) < start:
            self._need = start - self._at
            return None
        sizes = table.unpack_from(self._buffer, self._at + _HEADER.size)
        end = start + sum(sizes)
        if len(self._buffer) < end:
            if end - start < _COPY_BELOW:
                self._need = end - self._at
                return None
            self._unfinished = _Unfinished(kind, number, seconds, sizes)
            with memoryview(self._buffer) as view, view[start:] as here:
                self._unfinished.take(here)
            self._at, self._need = len(self._buffer), _HEADER.size
            return None
        parts: list[Part] = []
        with memoryview(self._buffer) as view:
            for size in sizes:
                part = view[start : start + size]
                parts.append(bytearray(part) if size >= _COPY_BELOW else bytes(part))
                start += size
        self._at, self._need = end, _HEADER.size
        return Record(kind, number, seconds, parts)
