"""What a worker has used since its start, as the part of a record `ResultKind.USAGE`; standard library only."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.wire.pipe import Part

_USAGE = struct.Struct("<2d5q")


class Usage(NamedTuple):
    """Counters of a worker with all processes that it has waited for; below 0 what is not known."""

    user: float
    """Seconds, as `system`."""

    system: float
    peak: int
    """Bytes, of the task alone: most memory that one of its processes had at once."""

    read: int
    """Bytes from storage, as `written`."""

    written: int
    voluntary: int
    """Switches to another process, as `involuntary`."""

    involuntary: int


def pack_usage(usage: Usage) -> bytes:
    """Return the part that holds *usage*."""
    return _USAGE.pack(*usage)


def unpack_usage(part: Part) -> Usage:
    """Return what `pack_usage` has packed.

    Raises:
        struct.error: *part* is another one.
    """
    return Usage(*_USAGE.unpack(part))
