"""Blobs: large arguments and results, which travel apart from control messages, in pieces that their receiver wants.

The head of a task or a result has an `Offer` in the place of each large frame. Whoever needs the blob wants it piece by
piece; whoever has it answers each `Want` with one `Chunk`, and keeps no record of the receiver::

    arguments:   driver  <── Want ──  interchange (keeps it)  <── Want ──  manager (keeps it)      worker
                         ── Chunk ─>                          ── Chunk ─>            ── whole ──>
    results:     driver  <────────────── Chunk ── interchange (forwards) <── Chunk ──  manager  <── whole ── worker
                         ───────────────  Want ─>                        ──  Want ──>

    no longer needed:   driver ── Release ──> interchange ──> manager          (control messages, which are never lost)
    no longer there:    Gone in the place of a Chunk: the task fails with its words, or runs again

A `Want` is idempotent. A piece that does not arrive, since a connection broke, an interchange was restarted or a queue
was full, is wanted again from the first byte that is missing. So blobs need no session, and control messages, which
have connections of their own or go first on the driver's stream, never wait behind more than one chunk.

Life of a blob in a `Receiver`, one for each line::

    add ──> waiting ──> under way: next_wants, on_chunk, next_wants ... ──> complete
               │             │   ^
               │             └───┘ on_tick: nothing came within `patience`; a chunk is missing; on_reconnected
               └─────────────┴──> remove
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Annotated, NamedTuple, Optional, Union

import msgspec

from cnflow.units import Seconds
from cnflow.wire.base import Message
from cnflow.wire.bulk_window import MOST_PIECE, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

BULK_FROM = 2**20
"""Bytes of all frames of a task or a result together, above which its frames become blobs."""

BlobId = bytes
"""Name of an argument's content (`KEY_SIZE` bytes) and a number, or a manager's number of a result's part."""

KEY_SIZE = 16
"""Bytes that name a content: two blobs of one run whose names begin with the same ones have the same bytes."""

_Blob = Annotated[bytes, msgspec.Meta(min_length=1, max_length=32)]
_Source = Annotated[bytes, msgspec.Meta(max_length=32)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Length = Annotated[int, msgspec.Meta(ge=1, le=MOST_PIECE)]


class Offer(msgspec.Struct, array_like=True, frozen=True):
    """Stands for a large frame in the head of a task or a result."""

    blob: _Blob
    size: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    position: Annotated[int, msgspec.Meta(ge=0, le=2**20)]
    """Place of the frame among all frames of its parcel."""

    source: _Source = b""
    """Manager that has the blob; empty for the driver."""


class Want(Message):
    """Send these bytes of the blob of *source*: a manager, or the driver where it is empty."""

    blob: _Blob
    source: _Source
    offset: _Natural
    length: _Length


class Chunk(Message):
    """Bytes of a blob from *offset* on, which are the frame after this head."""

    blob: _Blob
    source: _Source
    offset: _Natural


class Gone(Message):
    """The blob cannot be had from *source* any more."""

    blob: _Blob
    source: _Source
    reason: Annotated[str, msgspec.Meta(max_length=10_000)]


# Control messages, which are never lost
class Release(Message):
    """Drop these blobs of *source*, a manager or, if empty, the driver: no unfinished task refers to them any more."""

    source: _Source
    blobs: list[bytes]


class Unreleased(Message):
    """Blobs of results that *source*, a manager, still keeps: a restarted interchange may have lost their `Release`."""

    source: _Source
    blobs: list[bytes]


BulkMessage = Union[Want, Chunk, Gone]

BULK_SUFFIX = b"\0bulk"
"""End of the routing id of a manager's second connection."""


def with_bulk_suffix(manager: bytes) -> bytes:
    """Routing id of the connection over which *manager* sends and receives blobs."""
    return manager + BULK_SUFFIX


def without_bulk_suffix(sender: bytes) -> bytes:
    """Manager whose connection for blobs has this routing id; empty if it is another connection."""
    return sender[: -len(BULK_SUFFIX)] if sender.endswith(BULK_SUFFIX) else b""


decode_bulk = msgspec.msgpack.Decoder(BulkMessage).decode


class Piece(NamedTuple):
    """Bytes of a blob that are wanted, or sent."""

    blob: BlobId
    offset: int
    length: int


SMALL = 4 * 2**20
"""Bytes below which a blob goes before larger ones."""

_TURNS_OF_SMALL = 3
"""Pieces of small blobs to one of a larger one: small ones go first, and larger ones never stand still."""

MOST_ACTIVE = 64
"""Blobs under way on one line; each takes memory at its receiver. The others wait."""

NEVER = Seconds(math.inf)

PATIENCE, MOST_PATIENCE = Seconds(2.0), Seconds(15.0)
"""Time without a piece after which a blob's missing bytes are wanted again; doubled each time."""


class _Incoming:
    """Blob under way.

    Attributes:
        arrived: bytes from the beginning that are here.
        wanted: bytes from the beginning that are here or asked for.
        asked: end, length and moment of each request that is not answered.
        needed: bytes from the beginning that may be asked for now.
        asked_twice: bytes from the beginning among which some were asked for twice: the time that they take measures
            nothing, since the answer may be that to the first request.
        rewound: bytes after the first missing one were dropped once; more of them mean nothing new.
    """

    __slots__ = ("arrived", "asked", "asked_twice", "due", "needed", "patience", "rewound", "size", "wanted")

    def __init__(self, size: int, needed: int) -> None:
        self.size = size
        self.needed = min(size, needed)
        self.arrived = self.wanted = self.asked_twice = 0
        self.asked: deque[tuple[int, int, Seconds]] = deque()
        self.due = Seconds(math.inf)
        self.patience = PATIENCE
        self.rewound = False

    def rewind(self) -> int:
        """Want everything again that has not arrived; return the bytes that are no longer expected."""
        lost = self.wanted - self.arrived
        self.asked_twice = max(self.asked_twice, self.wanted)
        self.wanted = self.arrived
        self.asked.clear()
        self.due = Seconds(math.inf)
        return lost


class Receiver:
    """Blobs that come over one line, whichever way their bytes are kept.

    Args:
        is_local: the line stays within this machine.

    Attributes:
        window: bytes that may be on their way.
    """

    def __init__(self, *, is_local: bool = False) -> None:
        self.window = Window(is_local=is_local)
        self._waiting: OrderedDict[BlobId, _Incoming] = OrderedDict()
        self._active: dict[BlobId, _Incoming] = {}
        self._turns: tuple[deque[BlobId], deque[BlobId]] = (deque(), deque())
        """Small and larger blobs under way, in turn."""

        self._turn = 0
        self._on_their_way = 0

    def __contains__(self, blob: BlobId) -> bool:
        return blob in self._active or blob in self._waiting

    def __len__(self) -> int:
        return len(self._active) + len(self._waiting)

    @property
    def on_their_way(self) -> int:
        """Bytes that were asked for and have not arrived."""
        return self._on_their_way

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        if not self._active:  # nearly always, and each turn of a loop asks
            return NEVER
        return min(incoming.due for incoming in self._active.values())

    def arrived(self, blob: BlobId) -> int:
        """Bytes of *blob* from its beginning that are here; 0 if it is unknown."""
        incoming = self._active.get(blob)
        return 0 if incoming is None else incoming.arrived

    def add(self, blob: BlobId, size: int, needed: int = 2**62) -> None:
        """Want *blob* of *size* bytes, for now the first *needed* ones; does nothing if it is wanted already."""
        if blob not in self:
            self._waiting[blob] = _Incoming(size, needed)
            if size < SMALL:
                self._waiting.move_to_end(blob, last=False)

    def need(self, blob: BlobId, needed: int) -> None:
        """Want the first *needed* bytes of *blob* at least; does nothing if it is not wanted."""
        incoming = self._active.get(blob) or self._waiting.get(blob)
        if incoming is None or needed <= incoming.needed:
            return
        had_turns = incoming.wanted < incoming.needed
        incoming.needed = min(incoming.size, needed)
        if blob in self._active and not had_turns and incoming.wanted < incoming.needed:
            self._turns[incoming.size >= SMALL].append(blob)

    def remove(self, blob: BlobId) -> None:
        """Want *blob* no longer. What is on its way of it is dropped as it comes."""
        self._waiting.pop(blob, None)
        incoming = self._active.pop(blob, None)
        if incoming is not None:
            self._on_their_way -= incoming.rewind()
            turns = self._turns[incoming.size >= SMALL]
            if blob in turns:
                turns.remove(blob)

    def restart(self, blob: BlobId) -> None:
        """Want again, at once, what has not arrived of *blob*."""
        incoming = self._active.get(blob)
        if incoming is not None:
            incoming.patience, incoming.rewound = PATIENCE, False
            self._rewind(blob, incoming)

    def next_wants(self, now: Seconds) -> list[Piece]:
        """Pieces to ask for now: as many as the window takes, small blobs first, all in turn."""
        pieces: list[Piece] = []
        while self._on_their_way < self.window.size and (blob := self._next_blob()) is not None:
            incoming = self._active[blob]
            length = min(self.window.piece, incoming.needed - incoming.wanted)
            pieces.append(Piece(blob, incoming.wanted, length))
            if not incoming.asked:
                incoming.due = Seconds(now + incoming.patience)
            incoming.wanted += length
            incoming.asked.append((incoming.wanted, length, now))
            self._on_their_way += length
            if incoming.wanted < incoming.needed:
                self._turns[incoming.size >= SMALL].append(blob)
        return pieces

    def on_chunk(self, piece: Piece, now: Seconds) -> int:
        """Accept bytes that arrive.

        Returns:
            Number of bytes to skip at the chunk's beginning; the rest continues what is here. The chunk's whole length
            if none of it is of use: it came twice, is not wanted, or bytes before it are missing.
        """
        incoming = self._active.get(piece.blob)
        if incoming is None:
            return piece.length
        end = piece.offset + piece.length
        if piece.offset > incoming.arrived and not incoming.rewound:
            incoming.rewound = True
            self._rewind(piece.blob, incoming)
        if piece.offset > incoming.arrived or end <= incoming.arrived or end > incoming.size:
            return piece.length
        skipped = incoming.arrived - piece.offset
        was_full = self._on_their_way >= self.window.size - self.window.piece
        wanted = incoming.wanted
        self._advance(incoming, end, now, was_full=was_full)
        if wanted < incoming.needed <= incoming.wanted:  # the rest came late, when it was to be asked for again
            self._turns[incoming.size >= SMALL].remove(piece.blob)
        return skipped

    def _advance(self, incoming: _Incoming, end: int, now: Seconds, *, was_full: bool) -> None:
        known = max(incoming.wanted, end)  # asked for before a rewind, and here nevertheless
        self._on_their_way += known - incoming.wanted - (end - incoming.arrived)
        incoming.wanted, incoming.arrived = known, end
        incoming.rewound, incoming.patience = False, PATIENCE
        while incoming.asked and incoming.asked[0][0] <= end:
            last, length, asked_at = incoming.asked.popleft()
            if last > incoming.asked_twice:
                self.window.on_piece(length, asked_at, now, was_full=was_full)
        incoming.due = Seconds(now + PATIENCE) if incoming.wanted > end else Seconds(math.inf)

    def is_complete(self, blob: BlobId) -> bool:
        """True if all bytes of *blob* are here; it stays until `remove`."""
        incoming = self._active.get(blob)
        return incoming is not None and incoming.arrived == incoming.size

    def on_tick(self, now: Seconds) -> list[BlobId]:
        """Want again, and return, the blobs of which nothing arrived in time. Due at `next_deadline`."""
        late = [(blob, incoming) for blob, incoming in self._active.items() if incoming.due <= now]
        for blob, incoming in late:
            incoming.patience = Seconds(min(2 * incoming.patience, MOST_PATIENCE))
            incoming.rewound = False
            self._rewind(blob, incoming)
        return [blob for blob, _ in late]

    def on_reconnected(self, *, is_local: Optional[bool] = None) -> None:
        """Want again, at once, everything that was on its way: the line is a new one, of the same kind by default."""
        self.window = Window(is_local=self.window.is_local if is_local is None else is_local)
        for blob in self._active:
            self.restart(blob)

    def _rewind(self, blob: BlobId, incoming: _Incoming) -> None:
        self._on_their_way -= incoming.rewind()
        turns = self._turns[incoming.size >= SMALL]
        if incoming.wanted < incoming.needed and blob not in turns:
            turns.appendleft(blob)

    @property
    def _has_room(self) -> bool:
        """True if one blob more may be under way; those of which no more is needed now do not count: they may stay."""
        if len(self._active) < MOST_ACTIVE:
            return True
        return sum(incoming.arrived < incoming.needed for incoming in self._active.values()) < MOST_ACTIVE

    def _next_blob(self) -> Optional[BlobId]:
        """Take the blob whose turn it is; None if everything is asked for."""
        while self._waiting and self._has_room:
            blob, incoming = self._waiting.popitem(last=False)
            self._active[blob] = incoming
            self._turns[incoming.size >= SMALL].append(blob)
        small, large = self._turns
        self._turn += 1
        is_larges_turn = large and (not small or self._turn % (_TURNS_OF_SMALL + 1) == 0)
        turns = large if is_larges_turn else small
        return turns.popleft() if turns else None


MOST_PIECES_WANTED = 512
"""Pieces of one blob that wait to be sent. A peer that wants more gets them when it asks again."""


class Sender:
    """Pieces that are wanted over one line, until the line has room: the blobs take turns.

    For a line that is shared with control messages; where nothing else is sent, pieces are sent as they are wanted.
    """

    def __init__(self) -> None:
        self._wanted: OrderedDict[BlobId, list[Piece]] = OrderedDict()
        """Heaps: of each blob the first bytes leave first, also when they are wanted again."""

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def on_want(self, piece: Piece) -> None:
        """Queue *piece*, unless it is queued already."""
        waiting = self._wanted.setdefault(piece.blob, [])
        if len(waiting) < MOST_PIECES_WANTED and piece not in waiting:
            heapq.heappush(waiting, piece)

    def next_piece(self) -> Optional[Piece]:
        """Take the piece to send next; None if none is wanted."""
        if not self._wanted:
            return None
        blob, waiting = self._wanted.popitem(last=False)
        piece = heapq.heappop(waiting)
        if waiting:
            self._wanted[blob] = waiting
        return piece

    def remove(self, blobs: Iterable[BlobId]) -> None:
        """Drop what is wanted of *blobs*."""
        for blob in blobs:
            self._wanted.pop(blob, None)

    def clear(self) -> None:
        """Drop everything: the other end is another one."""
        self._wanted.clear()
