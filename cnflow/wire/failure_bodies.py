"""Bodies of the results that a manager makes itself, for tasks that ended without a result of their worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.wire.messages import ResultParcel


class WorkerLostBody(msgspec.Struct, array_like=True):
    """Body of a result of kind WORKER_LOST."""

    where: str
    exitcode: int
    stderr_tail: str
    cause: str = ""
    """Further facts about the end of the worker, as text for the error message."""


class TimedOutBody(msgspec.Struct, array_like=True):
    """Body of a result of kind TIMED_OUT."""

    app_name: str
    walltime: float
    """Seconds."""


encode_worker_lost = encode_timed_out = msgspec.msgpack.Encoder().encode
decode_worker_lost = msgspec.msgpack.Decoder(WorkerLostBody).decode
decode_timed_out = msgspec.msgpack.Decoder(TimedOutBody).decode


def enforce_size_limit(parcel: ResultParcel, limit: int) -> ResultParcel:
    """Return *parcel*, or a result of kind UNPICKLABLE if one of its frames has more than *limit* bytes."""
    result = parcel[0]
    if (size := max(map(len, parcel[1]), default=0)) <= limit:
        return parcel
    reason = f"it has a part of {size:,} bytes, and HighThroughputExecutor(max_result_size=...) is {limit:,}"
    return Result(result.id, ResultKind.UNPICKLABLE, reason.encode(), result.seconds, attempt=result.attempt), NO_FRAMES
