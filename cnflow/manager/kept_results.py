"""Large results that a manager keeps until the driver has them. No I/O.

::

    offer: large parts ──> kept ── on_want: Chunk ── on_want again, if one was lost
              │              ├── release: the driver has the result, or nobody waits for it ──> dropped
              │              └── take_unwanted: nobody wants it, and it is in the way ────────> dropped
              └── result with offers, which is small

A result is in the way while its manager runs no tasks because of it: the manager is full, or drained and about to
leave. The driver wants each result that it waits for at once. But one that has adopted a run may never wait for some.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Union

from cnflow.units import Seconds
from cnflow.wire.blob_frames import large_positions, size_of, without
from cnflow.wire.bulk import Chunk, Gone, Offer, Want

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.wire.bulk import BlobId
    from cnflow.wire.messages import ResultParcel


MOST_KEPT = 2**30
"""Bytes of results on their way from which a manager runs no further tasks: their results would fill its memory."""


class KeptResults:
    """The results; the module has a picture.

    Args:
        manager: id of this manager, the source of these blobs.
        patience: time after which results that nobody wants, and that are in the way, are dropped.

    Attributes:
        kept_bytes: size of all parts that are kept.
        is_last: the manager has nothing else to do.
    """

    def __init__(self, manager: ManagerId, patience: Seconds) -> None:
        self._manager = manager
        self._patience = patience
        self._wanted_at = Seconds(-math.inf)
        """Moment of the last offer or request."""

        self.is_last = False
        self._numbers = itertools.count()
        self._kept: dict[BlobId, memoryview] = {}
        self.kept_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_full(self) -> bool:
        """True while so much is kept that the manager should ask for no more tasks."""
        return self.kept_bytes >= MOST_KEPT

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `take_unwanted`; infinite while nothing is in the way."""
        is_in_the_way = self._kept and (self.is_last or self.is_full)
        return Seconds(self._wanted_at + self._patience) if is_in_the_way else Seconds(math.inf)

    def take_unwanted(self, now: Seconds) -> list[BlobId]:
        """Drop all results if they are in the way and nobody has wanted one for long; return their names."""
        unwanted = self.blobs() if now >= self.next_deadline else []
        self.release(unwanted)
        return unwanted

    def offer(self, parcel: ResultParcel, now: Seconds) -> ResultParcel:
        """Keep the large parts of a result; return it with offers in their place."""
        result, frames = parcel
        positions = large_positions(frames) if frames else ()
        if not positions:
            return parcel
        self._wanted_at = now
        offers = []
        for position in positions:
            blob = next(self._numbers).to_bytes(8, "big")
            self._kept[blob] = memoryview(frames[position]).cast("B")
            self.kept_bytes += size_of(frames[position])
            offers.append(Offer(blob, size_of(frames[position]), position, self._manager))
        rest = without(frames, positions)
        result.blobs, result.frames = tuple(offers), len(rest)
        return result, rest

    def blobs(self) -> list[BlobId]:
        """Names of all parts that are kept."""
        return list(self._kept)

    def on_want(self, want: Want, now: Seconds) -> tuple[Union[Chunk, Gone], Any]:
        """Reply to *want*: a chunk and its bytes, or the news that the blob is gone."""
        self._wanted_at = now
        content = self._kept.get(want.blob)
        end = want.offset + want.length
        if content is None or end > len(content):
            return Gone(want.blob, self._manager, "its manager does not have it any more"), None
        return Chunk(want.blob, self._manager, want.offset), content[want.offset : end]

    def release(self, blobs: Iterable[BlobId]) -> None:
        """Drop *blobs*."""
        for blob in blobs:
            content = self._kept.pop(blob, None)
            if content is not None:
                self.kept_bytes -= len(content)
