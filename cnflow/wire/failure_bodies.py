"""Bodies of results that a manager makes itself: how a task ended without an answer of its worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.wire.messages import ResultParcel


class Loss(msgspec.Struct, array_like=True):
    """Body of a result of kind WORKER_LOST."""

    where: str
    exitcode: int
    stderr_tail: str
    cause: str = ""
    """What else is known of why it ended, in words."""


class Overrun(msgspec.Struct, array_like=True):
    """Body of a result of kind TIMED_OUT."""

    app_name: str
    walltime: float


encode_loss = encode_overrun = msgspec.msgpack.Encoder().encode
decode_loss = msgspec.msgpack.Decoder(Loss).decode
decode_overrun = msgspec.msgpack.Decoder(Overrun).decode


def at_most(parcel: ResultParcel, limit: int) -> ResultParcel:
    """*parcel*, or that it cannot travel where one of its large parts has more bytes than *limit*."""
    result = parcel[0]
    if (size := max(map(len, parcel[1]), default=0)) <= limit:
        return parcel
    reason = f"it has a part of {size:,} bytes, and HighThroughputExecutor(max_result_size=...) is {limit:,}"
    return Result(result.id, ResultKind.UNPICKLABLE, reason.encode(), result.seconds), NO_FRAMES
