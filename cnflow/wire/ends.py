"""Bodies of results that a manager makes itself: how a task ended without an answer of its worker."""

from __future__ import annotations

import msgspec


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
