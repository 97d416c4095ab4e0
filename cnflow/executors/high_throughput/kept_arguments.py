"""Large arguments of unfinished tasks: kept once each, however many tasks they are passed to. Safe from any thread.

::

    submit ──> pack ──> content known? ──no──> kept, with a name ──┐
                              │ yes                                ├── read, for each Want ...
                              └──> one reference more ─────────────┘
    a task is reported ──> release: no reference left? ──yes──> dropped, Release to the interchange
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from cnflow.wire.blob_digest import DIGEST_SIZE, digest_of
from cnflow.wire.blob_frames import large_positions, without
from cnflow.wire.bulk import Offer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import TaskId
    from cnflow.wire.bulk import BlobId, Piece
    from cnflow.wire.messages import TaskParcel


class _Argument:
    """Content of a blob, and the number of unfinished tasks that refer to it."""

    __slots__ = ("blob", "content", "references")

    def __init__(self, blob: BlobId, content: memoryview) -> None:
        self.blob = blob
        self.content = content
        self.references = 0


class KeptArguments:
    """The arguments; the module has a picture.

    The name of a content is its digest and a number, which is another one each time that the content comes back after
    its release: a late release then drops nothing that is needed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_digest: dict[bytes, _Argument] = {}
        self._of_tasks: dict[tuple[TaskId, int], list[bytes]] = {}
        self._generations = itertools.count()

    def __len__(self) -> int:
        return len(self._by_digest)

    def pack(self, parcel: TaskParcel) -> TaskParcel:
        """Keep the large frames of *parcel*; return it with offers in their place."""
        task, frames = parcel
        positions = large_positions(frames)
        if not positions:
            return parcel
        digests = [digest_of(frames[position]) for position in positions]
        offers = []
        with self._lock:
            for position, digest in zip(positions, digests, strict=True):
                argument = self._by_digest.get(digest)
                if argument is None:
                    blob = digest + next(self._generations).to_bytes(8, "big")
                    argument = self._by_digest[digest] = _Argument(blob, memoryview(frames[position]).cast("B"))
                argument.references += 1
                offers.append(Offer(argument.blob, len(argument.content), position))
            self._of_tasks[task.id, task.attempt] = digests
        task.blobs = tuple(offers)
        rest = without(frames, positions)
        task.frames = len(rest)
        return task, rest

    def release(self, attempts: Iterable[tuple[TaskId, int]]) -> list[BlobId]:
        """Drop the blobs to which only these *attempts*, which are reported, referred; return their names."""
        released: list[BlobId] = []
        if not self._of_tasks:
            return released
        with self._lock:
            for attempt in attempts:
                for digest in self._of_tasks.pop(attempt, ()):
                    argument = self._by_digest[digest]
                    argument.references -= 1
                    if not argument.references:
                        released.append(argument.blob)
                        del self._by_digest[digest]
        return released

    def read(self, piece: Piece) -> memoryview | None:
        """Bytes of a blob; None if it is not here, or not so long."""
        argument = self._by_digest.get(piece.blob[:DIGEST_SIZE])
        if argument is None or piece.offset + piece.length > len(argument.content):
            return None
        return argument.content[piece.offset : piece.offset + piece.length]
