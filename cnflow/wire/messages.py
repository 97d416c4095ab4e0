"""Control messages between driver, interchange and managers: MessagePack arrays, never pickles.

A message is one frame for its head and one frame for each large part of the tasks or results that it carries. Raising
`cnflow.model.manager_settings.PROTOCOL` goes with every change here (a test compares).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import msgspec

from cnflow.wire.base import Message
from cnflow.wire.manager_messages import AskStanding, AskTask, Hold, ManagerInfo, Needs, Standing, TaskNow
from cnflow.wire.serialization import OUT_OF_BAND, Payload

if TYPE_CHECKING:
    from cnflow.wire.pipe import Part


Natural = Annotated[int, msgspec.Meta(ge=0)]


class Function(msgspec.Struct, array_like=True, gc=False):
    """A function on its way to workers; sent once to each manager and once to each worker."""

    id: bytes
    name: str
    kind: int
    """`cnflow.model.task.AppKind`."""

    python: str
    """Minor version whose bytecode is in `body`; empty when any Python can load it."""

    body: bytes


class Task(msgspec.Struct, array_like=True, gc=False):
    """A task on its way to a worker."""

    id: Natural
    function: bytes
    body: bytes
    """Pickled ``(args, kwargs)``, or ``(args, kwargs, options)`` with the fields of `cnflow.model.task.RunOptions`;
    empty when it is the first of the attached frames."""

    python: str = ""
    """As `Function.python`, for the arguments."""

    frames: Natural = 0
    """How many of the attached frames are its own."""

    walltime: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds; 0 is none."""

    needs: Optional[Needs] = None


class Result(msgspec.Struct, array_like=True, gc=False):
    """How one try of a task ended."""

    id: Natural
    kind: int
    """`cnflow.wire.pipe.ResultKind`."""

    body: bytes
    """What kind says; empty when it is the first of the attached frames."""

    seconds: float = 0.0
    """The function ran this long."""

    python: str = ""
    frames: Natural = 0


# Driver -> interchange -> manager
class Work(Message):
    """Tasks, and the functions that the receiver has not seen."""

    functions: list[Function]
    tasks: list[Task]
    may_have_needs: bool = True
    """Whether any of the tasks may say what it needs."""


class Again(Message):
    """As Work, after the interchange was restarted: its predecessor may have given some of these to managers."""

    functions: list[Function]
    tasks: list[Task]


class Cancel(Message):
    """Stop these tasks, or never begin them; those that are not there any more have ended, and were answered."""

    tasks: list[int]


class BlockGone(Message):
    """The provider says that this block has ended: its managers will not be heard again."""

    block: str
    reason: str


class Drain(Message):
    """Nothing more is to be run in this block: its managers end what they have, and leave."""

    block: str


class AskIdle(Message):
    """Say how long each block has held no task."""


class Admit(Message):
    """Managers of this block come with this key (public, CURVE, Z85), until the block is gone."""

    block: str
    key: str


class Stop(Message):
    """End in good order: nothing more will come."""


# Manager -> interchange
class Register(Message):
    """First message of a manager, and its answer to Introduce."""

    info: ManagerInfo
    held: tuple[int, ...] = ()
    """Tasks that it was given by an earlier interchange, and has not given back."""


class Done(Message):
    """Results, and how many tasks this manager is ready to hold in all: the interchange keeps it filled up to that."""

    window: int
    results: list[Result]


class Heartbeat(Message):
    """I live; sent both ways when nothing else was."""


class Draining(Message):
    """The manager takes no new task, and leaves when it has done or handed back what it has."""

    reason: str


class Leaving(Message):
    """The manager ends by its own decision; what it holds will not be run here."""

    reason: str


# Interchange -> manager
class Introduce(Message):
    """Register anew: the interchange was restarted. Said several times by one *session*, to be answered once."""

    session: bytes


class Refused(Message):
    """This manager cannot take part; it ends itself after saying why."""

    reason: str


# Interchange -> driver
class Bound(Message):
    """Managers can connect now; *port* is 0 for a socket file."""

    port: int


class ManagerUp(Message):
    """A manager registered."""

    id: bytes
    info: ManagerInfo


class ManagerDown(Message):
    """A manager is gone, with the tasks that it held."""

    id: bytes
    reason: str
    lost: list[int]


class Drained(Message):
    """A block that was to drain has no manager left; one that comes yet is given nothing."""

    block: str


class IdleTimes(Message):
    """Seconds since each block held a task; 0 for one that holds some."""

    blocks: dict[str, float]


class Results(Message):
    """Results of many tasks."""

    results: list[Result]


ToInterchange = Union[Work, Again, Cancel, BlockGone, Drain, AskIdle, Admit, AskStanding, AskTask, Hold, Stop]
FromManager = Union[Register, Done, Heartbeat, TaskNow, Draining, Leaving]
ToManager = Union[Work, Cancel, Drain, AskTask, Stop, Heartbeat, Introduce, Refused]
ToDriver = Union[Bound, ManagerUp, ManagerDown, Drained, IdleTimes, Standing, TaskNow, Results]

Frames = Sequence[Any]
"""Large parts that travel beside a head: bytes, buffers or ZeroMQ frames; nobody on the way looks into them."""

TaskParcel = tuple[Task, Frames]
ResultParcel = tuple[Result, Frames]

NO_FRAMES: Frames = ()

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder below or `pair` raises of a message that nobody of ours sent; the last where it is deeply nested."""

decode_to_interchange = msgspec.msgpack.Decoder(ToInterchange).decode
decode_from_manager = msgspec.msgpack.Decoder(FromManager).decode
decode_to_manager = msgspec.msgpack.Decoder(ToManager).decode
decode_to_driver = msgspec.msgpack.Decoder(ToDriver).decode


def task_parcel(
    number: int, function: bytes, payload: Payload, walltime: float = 0.0, needs: Optional[Needs] = None
) -> TaskParcel:
    """A task with its large parts beside it."""
    body, buffers, python = payload
    if len(body) < OUT_OF_BAND and not buffers:
        return Task(number, function, body, python, 0, walltime, needs), NO_FRAMES
    frames = (body, *buffers)
    return Task(number, function, b"", python, len(frames), walltime, needs), frames


def result_parcel(number: int, kind: int, seconds: float, python: str, parts: Sequence[Part]) -> ResultParcel:
    """A result with its large parts beside it; the first of *parts* is the body."""
    if len(parts) == 1 and len(parts[0]) < OUT_OF_BAND:
        return Result(number, kind, bytes(parts[0]), seconds, python), NO_FRAMES
    return Result(number, kind, b"", seconds, python, len(parts)), parts


def parts_of(head: Task | Result, frames: Frames) -> list[Any]:
    """Body and buffers, wherever they travelled."""
    return list(frames) if frames else [head.body]


def flatten(parcels: Iterable[tuple[Any, Frames]]) -> tuple[list[Any], list[Any]]:
    """Heads and all their frames, in the order in which `pair` takes them apart."""
    heads: list[Any] = []
    attached: list[Any] = []
    for head, frames in parcels:
        heads.append(head)
        if frames:
            attached.extend(frames)
    return heads, attached


def pair(heads: Iterable[Any], attached: Sequence[Any]) -> list[tuple[Any, Frames]]:
    """The reverse of `flatten`.

    Raises:
        ValueError: the heads ask for more or fewer frames than came.
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
        raise ValueError(f"heads name {taken} frames, {len(attached)} came")
    return parcels
