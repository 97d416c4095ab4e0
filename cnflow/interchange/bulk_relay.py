"""Decisions about blobs between the driver and the managers. No sockets, no clock; files only through `BlobStore`.

Arguments, and items of the driver (`cnflow.model.item`), are kept here, so that the driver's line carries each once,
however many managers want it. Results have one receiver each, and pass through::

    arguments    driver                           relay                                managers
                   │ <── Want, next piece ──────── │ <── Want ──────────────────────────── │ first one
                   ├── Chunk ────────────────────> │ kept ── Chunk to all who wait ──────> │
                   │                               │ <── Want ──────────────────────────── │ another one
                   │                               ├── Chunk ────────────────────────────> │
                   ├── Release ──────────────────> │ dropped                               │ kept, if there is room

    results        ├── Want ─────────────────────> │ noted ── Want ──────────────────────> │
                   │ <── Chunk, when the line ──── │ wanted? else dropped <─────── Chunk ──┤
                   │     has room                  │                                       │
                   ├── Release ──────────────────> │ (a control message) ────────────────> │ dropped

Items that managers have pass through, too: to the driver as results do, to other managers by `peer_relay`.

A blob that is unknown here, or has no room, passes through like a result: after a restart managers want blobs of tasks
whose heads are still on their way. Only the driver decides that a blob is gone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from cnflow.ids import ManagerId
from cnflow.interchange.peer_relay import MOST_WAITING, PeerRelay
from cnflow.wire.bulk import BlobId, BulkMessage, Chunk, Gone, Piece, Receiver, Want

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cnflow.interchange.blob_store import BlobStore
    from cnflow.units import Seconds
    from cnflow.wire.messages import TaskParcel
    from cnflow.wire.peer_messages import Serving
    from cnflow.wire.pipe import Part

logger = logging.getLogger(__name__)

_DRIVER = b""

READ_AHEAD = 8 * 2**20
"""Bytes of an argument that are fetched beyond what managers want: no more, since a driver is faster than the disk."""


class ToManager(NamedTuple):
    """Message to send to a manager."""

    manager: ManagerId
    message: Union[BulkMessage, Serving]
    data: Optional[Part] = None


class ToDriver(NamedTuple):
    """Message to send to the driver when its line has room."""

    message: BulkMessage
    data: Any = None


class BulkRelay:
    """The relay; the module has a picture.

    Args:
        store: keeps the bytes of arguments.
        send: sends a message to a manager.
        is_local: the driver is on this machine.
        is_gone: a manager was here, and will not come again.
    """

    def __init__(
        self,
        store: BlobStore,
        send: Callable[[ToManager], None],
        *,
        is_local: bool = False,
        is_gone: Callable[[ManagerId], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._send = send
        self._is_gone = is_gone
        self._peers = PeerRelay(lambda *message: self._send(ToManager(*message)), is_gone)
        self._sizes: dict[BlobId, int] = {}
        """Arguments, and items of the driver, that it has not released."""

        self._is_local = is_local
        self._receiver = Receiver(is_local=is_local)
        self._waiting: dict[BlobId, list[tuple[ManagerId, Piece]]] = {}
        """Pieces of arguments that are not here yet."""

        self._wanted: dict[tuple[bytes, BlobId], OrderedDict[int, int]] = {}
        """Pieces of results that the driver waits for: offset -> length, by manager and blob."""

        self._requests: deque[ToDriver] = deque()
        self._chunks: deque[ToDriver] = deque()
        """Messages for the driver; requests, which are small, go first."""

    def __len__(self) -> int:
        """Number of arguments that are kept, and of results and items that are passed on."""
        return len(self._store) + len(self._wanted) + len(self._peers)

    @property
    def is_idle(self) -> bool:
        """Nothing is to be sent to the driver, nor asked of it."""
        return not (self._requests or self._chunks or len(self._receiver))

    @property
    def next_deadline(self) -> Seconds:
        """Moment of the next `on_tick`; infinite while nothing is asked for."""
        return self._receiver.next_deadline

    def on_tasks(self, tasks: Iterable[TaskParcel]) -> None:
        """Note the blobs of *tasks*, and the driver's items."""
        for task, _ in tasks:
            if task.blobs:
                for offer in task.blobs:
                    self._sizes[offer.blob] = offer.size
            if task.items:
                for item in task.items:
                    if not item.source:
                        self._sizes[item.id] = item.size

    def on_tick(self, now: Seconds) -> None:
        """Want again what did not arrive in time."""
        self._receiver.on_tick(now)

    # Managers

    def on_manager_message(self, manager: ManagerId, message: BulkMessage, data: Any) -> None:  # noqa: ANN401 - a frame
        """Handle a message of *manager*; *data* belongs to a chunk.

        Raises:
            ValueError: the message is one that no manager sends.
        """
        if isinstance(message, Want):
            if message.source != _DRIVER:
                self._peers.on_want(manager, ManagerId(message.source), message)
                return
            self._on_want(manager, Piece(message.blob, message.offset, message.length))
            return
        if message.source != manager:
            raise ValueError("a blob comes from another manager than the one that has it")
        if isinstance(message, Gone):
            self._peers.drop(manager, message.blob, message.reason)
            if self._wanted.pop((manager, message.blob), None):
                self._requests.append(ToDriver(message))
            return
        piece = Piece(message.blob, message.offset, len(data))
        self._peers.on_chunk(manager, piece, data)
        if self._take_wanted(manager, piece):
            self._chunks.append(ToDriver(message, data))

    def on_serving(self, manager: ManagerId, serving: Serving) -> None:
        """Note that *manager* may be asked directly for its items.

        Raises:
            ValueError: it is about another manager.
        """
        self._peers.on_serving(manager, serving)

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget what *manager* waits for and what is wanted of it; the driver learns of its end from the state."""
        for blob, waiting in list(self._waiting.items()):
            left = [entry for entry in waiting if entry[0] != manager]
            if left:
                self._waiting[blob] = left
            else:
                del self._waiting[blob]
        for source, blob in [key for key in self._wanted if key[0] == manager]:
            del self._wanted[source, blob]
        self._peers.on_manager_gone(manager)

    def _on_want(self, manager: ManagerId, piece: Piece) -> None:
        blob, end = piece.blob, piece.offset + piece.length
        if blob not in self._store and blob not in self._receiver and blob in self._sizes:
            self._open(blob)
        self._receiver.need(blob, end + READ_AHEAD)
        is_kept = blob in self._store
        if is_kept and end <= self._arrived(blob):
            self._send_piece(manager, piece)
            return
        waiting = self._waiting.setdefault(blob, [])
        if (manager, piece) not in waiting:
            if sum(entry[0] == manager for entry in waiting) >= MOST_WAITING:  # of pieces that were lost
                waiting[:] = [entry for entry in waiting if entry[0] != manager]
            waiting.append((manager, piece))
        if not is_kept:
            self._requests.append(ToDriver(Want(blob, _DRIVER, piece.offset, piece.length)))

    def _open(self, blob: BlobId) -> None:
        if self._is_local and not self._store.has_memory_for(self._sizes[blob]):
            del self._sizes[blob]  # it passes through: the driver reads it again sooner than a disk here wrote it
            return
        try:
            self._store.open(blob, self._sizes[blob])
        except OSError as error:
            size = self._sizes.pop(blob)
            logger.warning("no room for an argument of %d bytes, which passes through: %s", size, error)
            return
        self._receiver.add(blob, self._sizes[blob], needed=1)

    def _arrived(self, blob: BlobId) -> int:
        return self._receiver.arrived(blob) if blob in self._receiver else self._sizes.get(blob, 0)

    def _send_piece(self, manager: ManagerId, piece: Piece) -> None:
        try:
            data = self._store.read(*piece)
        except OSError as error:
            self._on_disk_failed(piece.blob, error)  # the driver has it
            return
        self._send(ToManager(manager, Chunk(piece.blob, _DRIVER, piece.offset), data))

    def _take_wanted(self, source: bytes, piece: Piece) -> bool:
        wanted = self._wanted.get((source, piece.blob))
        if wanted is None or wanted.get(piece.offset) != piece.length:
            return False
        del wanted[piece.offset]
        if not wanted:
            del self._wanted[source, piece.blob]
        return True

    # Driver

    def on_driver_message(self, message: BulkMessage, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        """Handle a message of the driver; *data* belongs to a chunk."""
        if isinstance(message, Want):
            if self._is_gone(ManagerId(message.source)):
                self._requests.append(ToDriver(Gone(message.blob, message.source, "its manager is gone")))
                return
            wanted = self._wanted.setdefault((message.source, message.blob), OrderedDict())
            if wanted and message.offset <= next(reversed(wanted)):
                wanted.clear()  # the driver starts again from there
            wanted[message.offset] = message.length
            self._send(ToManager(ManagerId(message.source), message))
        elif isinstance(message, Gone):
            self._drop_argument(message)
        else:
            self._on_chunk(Piece(message.blob, message.offset, len(data)), data, now)

    def on_released(self, source: bytes, blobs: Collection[BlobId]) -> None:
        """Drop *blobs*, which no unfinished task needs any more."""
        if source:
            self._peers.on_released(ManagerId(source), blobs)
        for blob in blobs:
            if source:
                self._wanted.pop((source, blob), None)
                continue
            self._sizes.pop(blob, None)
            self._receiver.remove(blob)
            self._store.remove(blob)
            for manager in {manager for manager, _ in self._waiting.pop(blob, ())}:
                self._send(ToManager(manager, Gone(blob, _DRIVER, "the driver needs its task no more")))

    def on_new_driver_line(self) -> None:
        """Want again, at once, what was on its way over the connection to the driver that broke."""
        self._requests.clear()
        self._chunks.clear()
        self._receiver.on_reconnected()

    def next_for_driver(self, now: Seconds) -> Optional[ToDriver]:
        """Take the message to send next, now that the driver's line has room; None if there is none."""
        if len(self._receiver):
            wants = (Want(piece.blob, _DRIVER, piece.offset, piece.length) for piece in self._receiver.next_wants(now))
            self._requests.extend(map(ToDriver, wants))
        messages = self._requests or self._chunks
        return messages.popleft() if messages else None

    def _on_chunk(self, piece: Piece, data: Any, now: Seconds) -> None:  # noqa: ANN401 - a frame
        blob = piece.blob
        if blob not in self._receiver:
            self._pass_through(piece, data)
            return
        skipped = self._receiver.on_chunk(piece, now)
        if skipped == piece.length:
            return
        with memoryview(data) as view:
            try:
                self._store.write(blob, piece.offset + skipped, view[skipped:])
            except OSError as error:
                self._on_disk_failed(blob, error)
                return
        if self._receiver.is_complete(blob):
            self._receiver.remove(blob)
        self._serve(blob)

    def _serve(self, blob: BlobId) -> None:
        """Send the pieces that have arrived to the managers that wait for them."""
        arrived, waiting = self._arrived(blob), self._waiting.pop(blob, [])
        left = [entry for entry in waiting if entry[1].offset + entry[1].length > arrived]
        for manager, piece in waiting:
            if piece.offset + piece.length <= arrived and blob in self._store:
                self._send_piece(manager, piece)
        if left:
            self._waiting[blob] = left

    def _pass_through(self, piece: Piece, data: Any) -> None:  # noqa: ANN401 - a frame
        waiting = self._waiting.pop(piece.blob, [])
        left = [entry for entry in waiting if entry[1] != piece]
        for manager in [manager for manager, wanted in waiting if wanted == piece]:
            self._send(ToManager(manager, Chunk(piece.blob, _DRIVER, piece.offset), data))
        if left:
            self._waiting[piece.blob] = left

    def _on_disk_failed(self, blob: BlobId, error: OSError) -> None:
        """Give the blob up: it passes through from now on, as managers want its pieces again."""
        logger.warning("an argument of %d bytes cannot be kept, and passes through: %s", self._sizes[blob], error)
        self._sizes.pop(blob, None)
        self._receiver.remove(blob)
        self._store.remove(blob)

    def _drop_argument(self, gone: Gone) -> None:
        self._sizes.pop(gone.blob, None)
        self._receiver.remove(gone.blob)
        self._store.remove(gone.blob)
        for manager in {manager for manager, _ in self._waiting.pop(gone.blob, [])}:
            self._send(ToManager(manager, gone))
