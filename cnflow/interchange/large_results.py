"""Large parts of results that the interchange fetches while its driver is away, so that they outlive their managers.

A manager keeps the large parts of a result until the driver wants them; its block may end before that::

    result with offers of a manager ── hold ──> Want, Chunk, Want, Chunk ... of the manager, into a file
          │                                         │ complete: Release to the manager; the result gets offers of the
          │ no room; the manager is lost;           │ interchange ──> `take_ready` ──> on its way to the driver
          │ the driver is back                      │
          └──> as it was, to the driver        driver ── Want ──> Chunk from the file ── Release ──> file removed

A driver that wants a blob of an interchange which was replaced gets `Gone`, and has the task run again.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import msgspec

from cnflow.ids import ManagerId
from cnflow.wire.bulk import NEVER, BlobId, Chunk, Gone, Offer, Piece, Receiver, Release, Sender, Want
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cnflow.interchange.blob_store import BlobStore
    from cnflow.units import Seconds
    from cnflow.wire.bulk import BulkMessage
    from cnflow.wire.messages import ResultParcel

logger = logging.getLogger(__name__)

INTERCHANGE = b"interchange"
"""Source of the blobs that are kept here; no manager has this id, which is shorter than theirs."""


class _Held:
    """Result some of whose parts are on their way."""

    __slots__ = ("manager", "missing", "offers", "parcel")

    def __init__(self, parcel: ResultParcel, offers: dict[BlobId, Offer]) -> None:
        self.parcel = parcel
        self.manager = ManagerId(parcel[0].blobs[0].source)
        self.offers = offers
        """The manager's, by the names that the parts have here."""

        self.missing = set(offers)


class LargeResults:
    """The parts; the module has a picture.

    Args:
        store: keeps their bytes.
        folder: of the store's files.
        most: bytes that are kept.
        send: sends a message to a manager.
    """

    def __init__(
        self,
        store: BlobStore,
        folder: Path,
        most: int,
        send: Callable[[ManagerId, Union[BulkMessage, Release]], None],
    ) -> None:
        self._store = store
        self._folder = folder
        self._most = most
        self._send = send
        self._numbers = itertools.count()
        self._receiver = Receiver()
        self._held: dict[BlobId, _Held] = {}
        """By each part that is on its way."""

        self._names: dict[tuple[ManagerId, BlobId], BlobId] = {}
        """Names here of the parts on their way."""

        self._sizes: dict[BlobId, int] = {}
        """All parts that are here, or on their way."""

        self._ready: list[ResultParcel] = []
        self._sender = Sender()

    @property
    def is_holding(self) -> bool:
        """Results wait for their parts."""
        return bool(self._held)

    @property
    def is_idle(self) -> bool:
        """Nothing is asked for, and nothing wanted."""
        return not (self._held or self._sender)

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return self._receiver.next_deadline if self._held else NEVER

    # While the driver is away

    def hold(self, parcels: Iterable[ResultParcel]) -> list[ResultParcel]:
        """Begin to fetch the large parts of *parcels*; return the other results, and those that find no room.

        A piece of a stream goes at once: nothing may overtake it.
        """
        pieces = ResultKind.PARTIAL
        return [each for each in parcels if not each[0].blobs or each[0].kind == pieces or not self._begin(each)]

    def ask(self, now: Seconds) -> None:
        """Want of the managers what there is room for."""
        if not self._held:
            return
        if now >= self._receiver.next_deadline:
            self._receiver.on_tick(now)
        for name, offset, length in self._receiver.next_wants(now):
            held = self._held[name]
            self._send(held.manager, Want(held.offers[name].blob, held.manager, offset, length))

    def on_manager_message(self, manager: ManagerId, message: BulkMessage, data: Any, now: Seconds) -> bool:  # noqa: ANN401 - a frame
        """Handle a message of *manager* about a blob; return False if it is about none that is fetched here."""
        name = self._names.get((manager, message.blob))
        if name is None or isinstance(message, Want):
            return False
        if isinstance(message, Gone):
            self._let_go(self._held[name])
        else:
            self._on_chunk(name, Piece(name, message.offset, len(data)), data, now)
        return True

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Let the results of *manager* go as they were: the driver has their tasks run again."""
        for held in {id(held): held for held in self._held.values() if held.manager == manager}.values():
            self._let_go(held)

    def on_driver_back(self) -> None:
        """Let all results go that wait for parts: the driver wants these itself."""
        for held in {id(held): held for held in self._held.values()}.values():
            self._let_go(held)

    def take_ready(self) -> list[ResultParcel]:
        """Results that are on their way to the driver from now on."""
        ready, self._ready = self._ready, []
        return ready

    # For the driver

    def on_want(self, want: Want) -> Optional[Gone]:
        """Queue a piece; return a message for the driver if the blob is not here."""
        if want.blob not in self._store:
            return Gone(want.blob, INTERCHANGE, "the interchange that kept it was replaced")
        self._sender.on_want(Piece(want.blob, want.offset, want.length))
        return None

    def next_for_driver(self) -> Optional[tuple[BulkMessage, Any]]:
        """Take the piece to send next, now that the driver's line has room; None if there is none."""
        piece = self._sender.next_piece()
        if piece is None:
            return None
        try:
            return Chunk(piece.blob, INTERCHANGE, piece.offset), self._store.read(*piece)
        except OSError as error:
            logger.exception("a result cannot be read")
            return Gone(piece.blob, INTERCHANGE, f"the interchange cannot read it: {error}"), None

    def on_new_driver_line(self) -> None:
        """Forget what was wanted over the connection that broke: the driver wants it again."""
        self._sender.clear()

    def release(self, blobs: Iterable[BlobId]) -> None:
        """Drop *blobs*, which the driver has."""
        blobs = list(blobs)
        self._sender.remove(blobs)
        for blob in blobs:
            self._drop(blob)

    def close(self) -> None:
        """Drop everything."""
        self._store.clear()
        with contextlib.suppress(OSError):  # there is none
            self._folder.rmdir()

    def _begin(self, parcel: ResultParcel) -> bool:
        offers = {b"%d" % next(self._numbers): offer for offer in parcel[0].blobs}
        size = sum(offer.size for offer in offers.values())
        held = _Held(parcel, offers)
        theirs = {(held.manager, offer.blob) for offer in offers.values()}
        if len(theirs) < len(offers) or not theirs.isdisjoint(self._names):
            return False  # no manager sends this; the driver judges it
        if sum(self._sizes.values()) + size > self._most:
            logger.warning("no room for a result of %d bytes, which stays with its manager", size)
            return False
        for name, offer in offers.items():
            try:
                self._store.open(name, offer.size)
            except OSError as error:
                logger.warning("no room for a result of %d bytes, which stays with its manager: %s", size, error)
                self._forget(held)
                return False
            self._sizes[name] = offer.size
            self._held[name], self._names[held.manager, offer.blob] = held, name
            self._receiver.add(name, offer.size)
        return True

    def _on_chunk(self, name: BlobId, piece: Piece, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        held = self._held[name]
        skipped = self._receiver.on_chunk(piece, now)
        if skipped == piece.length:
            return
        with memoryview(data) as view:
            try:
                self._store.write(name, piece.offset + skipped, view[skipped:])
            except OSError as error:
                logger.warning("a result cannot be kept, and stays with its manager: %s", error)
                self._let_go(held)
                return
        if self._receiver.is_complete(name):
            self._end_fetching(name, held)
            if not held.missing:
                self._send(held.manager, Release(held.manager, [offer.blob for offer in held.offers.values()]))
                self._ready.append(_with_own_offers(held))

    def _let_go(self, held: _Held) -> None:
        """Pass a result on as it was."""
        self._forget(held)
        self._ready.append(held.parcel)

    def _forget(self, held: _Held) -> None:
        for name in held.offers:
            if name in self._held:
                self._end_fetching(name, held)
            self._drop(name)

    def _end_fetching(self, name: BlobId, held: _Held) -> None:
        self._receiver.remove(name)
        held.missing.discard(name)
        del self._held[name], self._names[held.manager, held.offers[name].blob]

    def _drop(self, name: BlobId) -> None:
        self._store.remove(name)
        self._sizes.pop(name, None)


def _with_own_offers(held: _Held) -> ResultParcel:
    result, frames = held.parcel
    blobs = tuple(msgspec.structs.replace(offer, blob=name, source=INTERCHANGE) for name, offer in held.offers.items())
    return msgspec.structs.replace(result, blobs=blobs), frames
