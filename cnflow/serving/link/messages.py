"""Messages between a front and the server, and their bytes. No I/O.

::

    front                                                    server
      Greeting  ─────────────────────────────────────────────> once: the front serves its socket
      Predict   ─────────────────────────────────────────────> Answer | Failure
      Stream    ─────────────────────────────────────────────> Piece* (End | Failure)
      More      ── so many pieces were passed on ────────────>
      GiveUp    ── the client of a call has left ────────────>
      Command   ── admin, metrics ───────────────────────────> Reply | Failure
      Report    ── counts of the front ──────────────────────>
      <──────────────────────────────────────────── Orders     once, first: settings of the front
      <──────────────────────────────────────────── State      at each change: readiness and models
      <──────────────────────────────────────────── Drain      take no more connections, end after the last answer

A frame is the length of a message in 4 bytes, little-endian, and the message in MessagePack. Both ends are processes of
one user on one machine, and of one version of cnflow.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import msgspec

from cnflow.serving.service import ModelCall, ModelStatus, Prediction, RowForm, ServingError, VersionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH = struct.Struct("<I")

WINDOW = 32
"""Pieces of one stream that may be on their way to a client that reads slowly."""


class Greeting(msgspec.Struct, array_like=True, tag=1):
    """The front accepts connections."""

    pid: int


class Predict(msgspec.Struct, array_like=True, tag=2):
    """A `ModelCall` to answer; *number* is the front's own."""

    number: int
    call: Any


class Stream(msgspec.Struct, array_like=True, tag=3):
    """A `ModelCall` whose pieces are wanted."""

    number: int
    call: Any


class More(msgspec.Struct, array_like=True, tag=4):
    """So many pieces of a stream were passed on."""

    number: int
    count: int


class GiveUp(msgspec.Struct, array_like=True, tag=5):
    """Nobody waits for the answer."""

    number: int


class Command(msgspec.Struct, array_like=True, tag=6):
    """A question of an admin, as the control socket takes it."""

    number: int
    question: dict[str, Any]


class Report(msgspec.Struct, array_like=True, tag=7):
    """Counts of the front since its start, as `cnflow.serving.metrics` packs them."""

    content: bytes


class Answer(msgspec.Struct, array_like=True, tag=8):
    """A `Prediction`."""

    number: int
    prediction: Any


class Failure(msgspec.Struct, array_like=True, tag=9):
    """A `ServingError`."""

    number: int
    message: str
    status: int
    code: str
    retry_after: float | None
    details: list[Any]


class Piece(msgspec.Struct, array_like=True, tag=10):
    """One piece of a stream."""

    number: int
    content: bytes


class End(msgspec.Struct, array_like=True, tag=11):
    """The last piece was sent."""

    number: int


class Reply(msgspec.Struct, array_like=True, tag=12):
    """Answer to a `Command`."""

    number: int
    answer: dict[str, Any]


class State(msgspec.Struct, array_like=True, tag=13):
    """What the front reports without asking: readiness and models."""

    is_ready: bool
    models: list[Any]


class Orders(msgspec.Struct, array_like=True, tag=14):
    """Settings of the front, as JSON of `HttpSettings`."""

    settings: bytes
    name: str
    log_level: int
    json_logs: bool


class Drain(msgspec.Struct, array_like=True, tag=15):
    """End once all that was accepted is answered."""


FrontMessage = Greeting | Predict | Stream | More | GiveUp | Command | Report
"""What a front sends."""

ServerMessage = Answer | Failure | Piece | End | Reply | State | Orders | Drain
"""What the server sends."""


def _plain(value: object) -> object:
    """Stand-in for what MessagePack does not know, such as an input that a validation refused."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    return str(value)


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode_front = msgspec.msgpack.Decoder(FrontMessage).decode
_decode_server = msgspec.msgpack.Decoder(ServerMessage).decode


def frame(message: FrontMessage | ServerMessage) -> bytes:
    """Bytes of *message*, its length included."""
    content = _encode(message)
    return LENGTH.pack(len(content)) + content


def decode_front(content: bytes | memoryview) -> FrontMessage:
    """Message of a front."""
    message: FrontMessage = _decode_front(content)
    return message


def decode_server(content: bytes | memoryview) -> ServerMessage:
    """Message of the server."""
    message: ServerMessage = _decode_server(content)
    return message


def call_from(parts: list[Any]) -> ModelCall:
    """`ModelCall` of the fields that came."""
    form = RowForm(parts[1])
    return ModelCall(parts[0], form, values_from(form, parts[2]), *parts[3:])


def prediction_from(form: RowForm, parts: list[Any]) -> Prediction:
    """`Prediction` of the fields that came; *form* is that of the call."""
    return Prediction(values_from(form, parts[0]), *parts[1:])


def values_from(form: RowForm, values: Any) -> Any:  # noqa: ANN401 - rows of any form
    """Rows or results as their *form* has them."""
    if form is not RowForm.TENSORS:
        return values
    from cnflow.tasks.tensors import Tensor  # noqa: PLC0415 - of one form

    return [Tensor(name, datatype, tuple(shape), data) for name, datatype, shape, data in values]


def state_of(is_ready: bool, models: Mapping[str, ModelStatus]) -> State:  # noqa: FBT001 - its one flag
    """`State` of a service."""
    return State(is_ready, list(models.values()))


def models_from(state: State) -> dict[str, ModelStatus]:
    """Models by name, of a `State` that came."""
    return {name: ModelStatus(name, [_version(each) for each in versions]) for name, versions in state.models}


def failure_of(number: int, error: ServingError) -> Failure:
    """`Failure` that makes `error_from` raise the same."""
    details = [dict(each) for each in error.details]
    return Failure(number, str(error), error.status, error.code, error.retry_after, details)


def error_from(failure: Failure) -> ServingError:
    """`ServingError` of a `Failure`."""
    return ServingError(failure.message, failure.status, failure.code, failure.retry_after, failure.details)


def _version(fields: VersionStatus) -> VersionStatus:
    return VersionStatus(*fields[:-1], tuple(fields[-1]))  # sequences arrive as lists
