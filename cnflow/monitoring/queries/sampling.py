"""Chooses tasks that stand for all of a long run. No I/O."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHUNK = 5_000
"""Ids in one statement."""


def sampled(ids: range, size: int) -> Sequence[int]:
    """Return at most *size* of *ids*, in their order: all, or some by chance, the same ones each time.

    By chance, since every n-th task of a regular workflow may be of the same app.
    """
    if len(ids) <= size:
        return ids
    return sorted(random.Random(len(ids)).sample(ids, size))  # noqa: S311 - no secret


def chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    """Yield parts of *ids* that are short enough for one statement."""
    for start in range(0, len(ids), CHUNK):
        yield list(ids[start : start + CHUNK])
