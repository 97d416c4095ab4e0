"""Joins the heads of tasks and results with the frames of their large parts, which travel behind all heads. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.wire.messages import NO_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.wire.messages import Frames


def detach_frames(parcels: Iterable[tuple[Any, Frames]]) -> tuple[list[Any], list[Any]]:
    """Split parcels into their heads and the frames of all, in one order."""
    heads: list[Any] = []
    attached: list[Any] = []
    for head, frames in parcels:
        heads.append(head)
        if frames:
            attached.extend(frames)
    return heads, attached


def attach_frames(heads: Iterable[Any], attached: Sequence[Any]) -> list[tuple[Any, Frames]]:
    """Join heads and frames to parcels: the reverse of `detach_frames`.

    Raises:
        ValueError: the heads name more or fewer frames than arrived.
    """
    if not attached:
        parcels = [(head, NO_FRAMES) for head in heads]
        taken = sum(head.frames for head, _ in parcels)
    else:
        parcels, taken = [], 0
        for head in heads:
            parcels.append((head, attached[taken : taken + head.frames] if head.frames else NO_FRAMES))
            taken += head.frames
    if taken != len(attached):
        raise ValueError(f"The heads of the message name {taken} frames, but {len(attached)} arrived.")
    return parcels
