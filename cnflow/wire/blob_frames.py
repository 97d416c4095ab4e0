"""Takes large frames out of tasks and results, with an `Offer` in the place of each, and puts them in again. No I/O.

::

    frames    [ body 200 B ][ array 3 MiB ][ array 70 KiB ]        together above BULK_FROM
    apart     [ body 200 B ]                                       travels with the head, and so do
              Offer(blob, 3 MiB, position 1), Offer(blob, 70 KiB, position 2)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.wire.bulk import BULK_FROM, KEY_SIZE, Offer
from cnflow.wire.serialization import OUT_OF_BAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.messages import Task

_FEW = 16
"""Parcels without frames that are never too large for one message together."""


def large_positions(frames: Sequence[Any]) -> list[int]:
    """Positions of the frames that become blobs; none if all frames together are small enough to travel as they are."""
    if not frames:
        return []
    sizes = [size_of(frame) for frame in frames]
    return [n for n, size in enumerate(sizes) if size >= OUT_OF_BAND] if sum(sizes) > BULK_FROM else []


def without(frames: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """*frames* but for those at *positions*."""
    apart = set(positions)
    return [frame for n, frame in enumerate(frames) if n not in apart]


def apart(task: Task, frames: Sequence[Any]) -> tuple[Sequence[Any], list[tuple[int, bytes]]]:
    """Frames of *task* that are no blobs, and place and name of each blob, whether the blobs are here or not."""
    places = [offer.position for offer in task.blobs]
    if places and len(frames) > task.frames:
        frames = without(frames, places)
    return frames, [(offer.position, offer.blob[:KEY_SIZE]) for offer in task.blobs]


def check_offers(offers: Sequence[Offer], frames: int) -> None:
    """Check that *offers* stand for frames that make a whole with *frames* others.

    Raises:
        ValueError: two have one place, or a place is beyond the end.
    """
    places = {offer.position for offer in offers}
    if len(places) != len(offers) or max(places) >= frames + len(offers):
        raise ValueError(f"offers at the places {sorted(places)} do not fit among {frames} frames")


def with_blobs(frames: Sequence[Any], blobs: Sequence[tuple[Offer, Any]]) -> list[Any]:
    """All frames of a parcel, in order: those that travelled with the head, and *blobs* in their places."""
    whole = list(frames)
    for offer, content in sorted(blobs, key=lambda blob: blob[0].position):
        whole.insert(offer.position, content)
    return whole


def size_of(frame: Any) -> int:  # noqa: ANN401 - bytes, a buffer or a ZeroMQ frame
    """Bytes of *frame*."""
    return frame.nbytes if isinstance(frame, memoryview) else len(frame)


def in_batches(parcels: list[Any]) -> list[list[Any]]:
    """Divide *parcels* so that each batch makes a message of about `BULK_FROM` bytes at the most, or is one parcel.

    A sign of life, or a small task, waits behind one message at the most.
    """
    if len(parcels) <= 1 or (len(parcels) <= _FEW and not any(frames for _, frames in parcels)):
        return [parcels]
    batches: list[list[Any]] = [[]]
    size = 0
    for parcel in parcels:
        own = len(parcel[0].body) + sum(map(size_of, parcel[1])) if parcel[1] else len(parcel[0].body)
        if size + own > BULK_FROM and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(parcel)
        size += own
    return batches
