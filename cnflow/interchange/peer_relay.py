"""Decisions about items that managers fetch of each other. No I/O.

Nothing is kept here but who waits for which piece::

    manager that wants                   relay                              manager that has the item
      ├── Want, source: that manager ──> │ noted ── Want ──────────────────> │
      │                                  │ another one wants the same piece: noted alone
      │ <── Chunk to all who wait ────── │ wanted? else dropped <── Chunk ───┤
      ├── Want again: a piece was lost > │ ── Want ────────────────────────> │
      │ <── Gone ─────────────────────── │ <── Gone; released; that manager is gone
      │ <── Serving ──────────────────── │ <── Serving: it may be asked directly
      └── Want ─── if it can be reached ────────────────────────────────────> │
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Union

from cnflow.wire.bulk import KEY_SIZE, BlobId, Chunk, Gone, Piece, Want

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.wire.bulk import BulkMessage
    from cnflow.wire.peer_messages import Serving

    Send = Callable[[ManagerId, Union[BulkMessage, Serving], Any], None]

MOST_WAITING = 512
"""Pieces that one manager waits for at the same time, at the most: those of its window are fewer."""

_SOURCE_GONE = "the manager that had it is gone"


class PeerRelay:
    """The relay; the module has a picture.

    Args:
        send: sends a message, and the bytes of a chunk, to a manager.
        is_gone: a manager was here, and will not come again.
    """

    def __init__(self, send: Send, is_gone: Callable[[ManagerId], bool]) -> None:
        self._send = send
        self._is_gone = is_gone
        self._waiting: dict[tuple[ManagerId, BlobId], dict[Piece, list[ManagerId]]] = {}
        """Who waits for which piece, by the manager that has the item, and the item."""

        self._serving: dict[ManagerId, Serving] = {}
        """Managers that may be asked directly."""

        self._introduced: set[tuple[ManagerId, ManagerId]] = set()
        """Managers that know so, with the one that serves."""

        self._counts: Counter[ManagerId] = Counter()
        """Pieces that each manager waits for."""

    def __len__(self) -> int:
        return len(self._waiting)

    def on_serving(self, manager: ManagerId, serving: Serving) -> None:
        """Note that *manager* may be asked directly, and report it to those who wait for a piece of it already.

        Raises:
            ValueError: it is about another manager.
        """
        if serving.source != manager:
            raise ValueError("a manager serves in the name of another one")
        self._serving[manager] = serving
        self._introduced = {pair for pair in self._introduced if pair[1] != manager}
        # A manager announces itself with its first item, whose task may have been followed faster than that.
        waiting = [pieces for (source, _), pieces in self._waiting.items() if source == manager]
        for other in sorted({other for pieces in waiting for others in pieces.values() for other in others}):
            self._introduce(other, manager)

    def on_want(self, manager: ManagerId, source: ManagerId, want: Want) -> None:
        """Pass a request of *manager* on to *source*, unless the piece is on its way to another one.

        Raises:
            ValueError: it is one that no manager sends.
        """
        if source == manager or len(want.blob) <= KEY_SIZE:
            raise ValueError("a manager wants a blob of another manager that is no item, or one of its own")
        if self._is_gone(source):
            self._send(manager, Gone(want.blob, source, _SOURCE_GONE), None)
            return
        self._introduce(manager, source)
        key, piece = (source, want.blob), Piece(want.blob, want.offset, want.length)
        waiting = self._waiting.get(key, {}).get(piece, ())
        is_asked, is_repeated = bool(waiting), manager in waiting
        if not is_repeated:
            if self._counts[manager] >= MOST_WAITING:
                # No window is that large: most of them were lost, and are wanted in other sizes by now.
                self._forget_all(manager)
            self._waiting.setdefault(key, {}).setdefault(piece, []).append(manager)
            self._counts[manager] += 1
        if is_repeated or not is_asked:
            self._send(source, want, None)

    def _introduce(self, manager: ManagerId, source: ManagerId) -> None:
        serving = self._serving.get(source)
        if serving is not None and (manager, source) not in self._introduced:
            self._introduced.add((manager, source))
            self._send(manager, serving, None)

    def on_chunk(self, source: ManagerId, piece: Piece, data: Any) -> None:  # noqa: ANN401 - a frame
        """Pass a piece from *source* on to those who wait for it."""
        pieces = self._waiting.get((source, piece.blob))
        if pieces is None:
            return
        for manager in pieces.pop(piece, ()):
            self._count_down(manager)
            self._send(manager, Chunk(piece.blob, source, piece.offset), data)
        if not pieces:
            del self._waiting[source, piece.blob]

    def drop(self, source: ManagerId, blob: BlobId, reason: str) -> None:
        """Report to those who wait for *blob* of *source* that it cannot be had."""
        pieces = self._waiting.pop((source, blob), {})
        for waiting in pieces.values():
            for manager in waiting:
                self._count_down(manager)
        for manager in sorted({manager for waiting in pieces.values() for manager in waiting}):
            self._send(manager, Gone(blob, source, reason), None)

    def on_released(self, source: ManagerId, blobs: Iterable[BlobId]) -> None:
        """Drop *blobs* of *source*, which nobody needs any more."""
        for blob in blobs if self._waiting else ():
            self.drop(source, blob, "nobody needs it any more")

    def on_manager_gone(self, manager: ManagerId) -> None:
        """Forget what *manager* waits for, and report what is waited for of it as gone."""
        if self._serving.pop(manager, None) is not None or self._introduced:
            self._introduced = {pair for pair in self._introduced if manager not in pair}
        for source, blob in [key for key in self._waiting if key[0] == manager]:
            self.drop(source, blob, _SOURCE_GONE)
        self._forget_all(manager)

    def _forget_all(self, manager: ManagerId) -> None:
        if self._counts.pop(manager, 0):
            for key in list(self._waiting):
                self._forget(manager, key)

    def _forget(self, manager: ManagerId, key: tuple[ManagerId, BlobId]) -> None:
        pieces = self._waiting[key]
        for piece, waiting in list(pieces.items()):
            if manager not in waiting:
                continue
            waiting.remove(manager)
            if waiting:  # it may have been the one whose request was passed on
                self._send(key[0], Want(piece.blob, key[0], piece.offset, piece.length), None)
            else:
                del pieces[piece]
        if not pieces:
            del self._waiting[key]

    def _count_down(self, manager: ManagerId) -> None:
        self._counts[manager] -= 1
        if self._counts[manager] <= 0:
            del self._counts[manager]
