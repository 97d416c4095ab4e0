"""Control messages between driver, interchange and managers: MessagePack arrays, never pickles.

A message is one frame for its head, after the header of its session, and one for each large part (`Frames`).

======================= ========================= ===================================================================
Message                 From -> to                Sent
======================= ========================= ===================================================================
`Work`                  driver -> interchange     when tasks are submitted
`Work`                  interchange -> manager    when the manager holds fewer tasks than its window
`Resubmit`              driver -> interchange     once after the interchange was restarted, with all unfinished tasks
`Cancel`                driver -> interchange ->  when tasks are cancelled; passed on to the managers that hold them
                        manager
`Prepare`               driver -> interchange ->  when models are to be loaded before their first task; to all
                        manager                   managers, and to those that register later
`Prepared`              manager -> interchange    when a worker has loaded one of them, or cannot
                        -> driver
`Drain`                 driver -> interchange ->  when a block is scaled in; passed on to its managers
                        manager
`Drained`               interchange -> driver     when the last manager of a block that was to drain has left
`BlockEmpty`            interchange -> driver     when the managers of all nodes of a block have left by themselves
`Admit`                 driver -> interchange     before a block is requested, with the public key of its managers
`BlockGone`             driver -> interchange     when a block is over, in whatever way
`Dial`                  driver -> interchange     when a manager listens, and has written where
`DialFailed`            interchange -> driver     when it accepts no connection there
`IdleTimesQuery`        driver -> interchange     before each decision on scaling in
`IdleTimes`             interchange -> driver     in reply to `IdleTimesQuery`
`StatusQuery`           driver -> interchange     when the user asks for managers or explains a task
`StatusReport`          interchange -> driver     in reply to `StatusQuery`
`TaskQuery`             driver -> interchange ->  when the user explains a task that a manager holds
                        manager
`TaskReport`            manager -> interchange    in reply to `TaskQuery`
                        -> driver
`Hold`                  driver -> interchange     when the user holds a manager
`Register`              manager -> interchange    first of all, and in reply to `RegisterAgain`
`Holding`               manager -> interchange    after `Register`, if another driver adopts the run
`ManagerHolds`          interchange -> driver     passes on `Holding`
`Done`                  manager -> interchange    when tasks end, or the window changes
`Heartbeat`             manager <-> interchange   when nothing else was sent for half a period; alone not numbered
                        <-> driver
`Draining`              manager -> interchange    when the manager decides to take no more tasks
`Events`                manager -> interchange    once a second if there are any, where the run has sinks
                        -> driver
`Samples`               manager -> interchange    once a second if there are any, where the run wants them
                        -> driver
`Leaving`               manager -> interchange    last of all, when the manager ends by its own decision
`RegisterAgain`         interchange -> manager    in reply to a message of an unknown session, as after a restart
`Refused`               interchange -> manager    when the manager cannot take part; the manager ends
`Release`               driver -> interchange ->  when no unfinished task refers to a blob; to its manager if it is part
                        manager                   of a result
`Unreleased`            manager -> interchange    after the results that are sent again when a manager registers again
                        -> driver
`Want`                  both ways                 when the receiver of a blob has room for its next piece
`Chunk` `Gone`          both ways                 in reply to `Want`
`Serving`               manager -> interchange    when the manager keeps items; passed on to managers that want one
                        -> manager
`Stop`                  driver -> interchange ->  at the end of the run
                        manager
`Bound`                 interchange -> driver     first of all, when managers can connect
`PoolReport`            interchange -> owner      when the queues of a pool's clients have changed
`NoWorkers`             owner -> interchange ->   when a pool without a manager gets none, or may get some again
                        driver
`ManagerUp`             interchange -> driver     when a manager has registered
`ManagerDown`           interchange -> driver     when a manager is lost or has left
`Results`               interchange -> driver     when tasks end
======================= ========================= ===================================================================

Each change to a message here needs a new `cnflow.model.manager_settings.PROTOCOL` (a test compares).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import msgspec

from cnflow.ids import BlockId, FunctionId, ManagerId, TaskId
from cnflow.model.item import Item
from cnflow.wire.base import Message
from cnflow.wire.bulk import Chunk, Gone, Offer, Release, Unreleased, Want
from cnflow.wire.dial_messages import Dial, DialFailed
from cnflow.wire.function_messages import Function, Prepare, Prepared
from cnflow.wire.manager_messages import (
    Duration,
    Events,
    Hold,
    Holding,
    ManagerHolds,
    ManagerInfo,
    Needs,
    NoWorkers,
    PoolReport,
    Samples,
    StatusQuery,
    StatusReport,
    TaskQuery,
    TaskReport,
)
from cnflow.wire.serialization import OUT_OF_BAND, Payload

if TYPE_CHECKING:
    from cnflow.wire.pipe import Part

Natural = Annotated[int, msgspec.Meta(ge=0)]
WireTaskId = Annotated[TaskId, msgspec.Meta(ge=0)]  # the decoder checks it: a negative number is malformed


class Task(msgspec.Struct, array_like=True, gc=False):
    """Task without its large parts, which travel as frames."""

    id: WireTaskId
    function: FunctionId
    body: bytes
    """Pickled ``(args, kwargs)``, or ``(args, kwargs, options)`` with the fields of `cnflow.model.task.RunOptions`;
    empty when it is the first of the attached frames."""

    python: str = ""
    """Minor version whose bytecode is in the arguments; empty when any Python can load them."""

    frames: Natural = 0
    """Number of attached frames that belong to this task."""

    walltime: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds; 0 is no limit."""

    needs: Optional[Needs] = None
    attempt: Natural = 0
    """Number of this attempt: no other attempt of the task in this executor has it."""

    blobs: tuple[Offer, ...] = ()
    """Large parts, which travel apart (`cnflow.wire.bulk`)."""

    items: tuple[Item, ...] = ()
    """Contents that its manager needs before the task begins."""

    rows: Natural = 0
    """`cnflow.model.batching.BatchPart`, as the next two; of no use where the function has no `Function.batching`."""
    apart: str = ""
    is_bulk: bool = False


class Result(msgspec.Struct, array_like=True, gc=False):
    """End of one try of a task, without its large parts, which travel as frames."""

    id: WireTaskId
    kind: int
    """`cnflow.wire.pipe.ResultKind`."""

    body: bytes
    """Content that `kind` describes; empty when it is the first of the attached frames."""

    seconds: Duration = 0.0
    """Run time of the function."""

    python: str = ""
    """Minor version whose bytecode is in the result; empty when any Python can load it."""

    frames: Natural = 0
    """Number of attached frames that belong to this result."""

    attempt: Natural = 0
    """`Task.attempt`, so that the end of an earlier attempt is never taken for that of a later one."""
    blobs: tuple[Offer, ...] = ()
    """Large parts, which travel apart (`cnflow.wire.bulk`)."""

    ended: Duration = 0.0
    """Unix time of the end, by the clock of the manager; 0 where no worker ended it."""

    manager: Natural = 0
    """`ManagerUp.number` of the manager, as the interchange sets it; 0 where none ran it."""

    items: tuple[Item, ...] = ()
    """Contents that the task has left on its node; the manager keeps them until `Release`."""

    worker: int = -1
    """Rank of the worker in its manager; below 0 where none ran it."""


# Driver -> interchange -> manager
class Work(Message):
    """Tasks, and the functions that were not sent to the receiver before."""

    functions: list[Function]
    tasks: list[Task]
    may_have_needs: bool = True
    """False promises that no task has `needs`, `items` or `rows`, so that the interchange need not look."""

    forgets: bool = False
    """Forget first all functions that no task refers to (`cnflow.wire.sent_functions`)."""


class Resubmit(Message):
    """Unfinished tasks, after the interchange was restarted; its predecessor may have sent some to managers."""

    functions: list[Function]
    tasks: list[Task]
    is_last: bool = True
    """All unfinished tasks were sent. There is a last message even if there are none."""

    forgets: bool = False


class Cancel(Message):
    """Stop these attempts of tasks, or never start them. One that the receiver does not have was answered before."""

    tasks: dict[WireTaskId, Natural]


class BlockGone(Message):
    """This block is over: drop its managers, and refuse those that still come."""

    block: BlockId
    reason: str


class Drain(Message):
    """Run nothing more in this block: its managers finish what they hold, and leave."""

    block: BlockId


class IdleTimesQuery(Message):
    """Reply with `IdleTimes`."""


class Admit(Message):
    """Accept managers of this block, until it is gone."""

    block: BlockId
    key: str
    """Public key of the managers (CURVE, Z85); empty where connections are not encrypted."""


class Stop(Message):
    """End in good order: nothing more will be sent."""


# Manager -> interchange
class Register(Message):
    """Registration of a manager: the first message of each session, and its reply to `RegisterAgain`."""

    info: ManagerInfo
    held: dict[WireTaskId, Natural] = msgspec.field(default_factory=dict)
    """Attempts of tasks that an earlier interchange sent to this manager. Results that are not acknowledged follow."""

    stopping: dict[WireTaskId, Natural] = msgspec.field(default_factory=dict)
    """Attempts that it is about to stop, or has stopped, on an earlier interchange's order."""


class Done(Message):
    """Results, and the manager's windows: the numbers of tasks, and of calls of models, that it wants to hold."""

    window: int
    results: list[Result]
    calls: Natural = 0  # besides tasks; 0 while none come, and the first ones count as tasks


class Heartbeat(Message):
    """Sign of life, either way, when nothing else was sent."""


class Draining(Message):
    """The manager takes no new task, and leaves when all that it holds is done or returned."""

    reason: str


class Leaving(Message):
    """The manager ends by its own decision; tasks that it still holds will not run there."""

    reason: str


# Interchange -> manager
class RegisterAgain(Message):
    """Begin a new session, and register once more: the interchange does not know the session of this message."""

    is_adoption: bool = False
    """Another driver adopts the run: send `Holding` after `Register`."""


class Refused(Message):
    """Refusal of a manager, which logs *reason* and ends."""

    reason: str


# Interchange -> driver
class Bound(Message):
    """Managers can connect now; *port* is 0 for a socket file."""

    port: int
    clients_port: Natural = 0
    """Port for clients, of an interchange that serves several; 0 for a socket file, and where there is none."""


class ManagerUp(Message):
    """A manager has registered."""

    id: ManagerId
    info: ManagerInfo
    number: Natural = 0
    """Short for `id` in results; above 0, and none of an interchange before."""


class ManagerDown(Message):
    """A manager is gone, with the tasks that it held."""

    id: ManagerId
    reason: str
    lost: dict[TaskId, int]
    """Attempt of each task."""


class Drained(Message):
    """No manager is left of a block that was ordered to drain; a manager that connects later is sent no task."""

    block: BlockId


class BlockEmpty(Message):
    """The managers of all nodes of this block came, and have left by their own decision."""

    block: BlockId


class IdleTimes(Message):
    """Seconds since each block held a task; 0 for a block that holds some."""

    blocks: dict[BlockId, float]


class Results(Message):
    """Results of any number of tasks."""

    results: list[Result]


Order = Union[
    Cancel, BlockGone, Drain, IdleTimesQuery, Admit, StatusQuery, TaskQuery, Hold, Release, Dial, NoWorkers, Prepare
]
"""Messages of the driver that carry no task and keep their order among the tasks."""

ToInterchange = Union[
    Work, Resubmit, Cancel, BlockGone, Drain, IdleTimesQuery, Admit, StatusQuery, TaskQuery, Hold, Stop,
    Release, Want, Chunk, Gone, Dial, NoWorkers, Prepare,
]  # fmt: skip
FromManager = Union[
    Register, Holding, Done, Heartbeat, TaskReport, Draining, Events, Samples, Leaving, Unreleased, Prepared,
]  # fmt: skip
ToManager = Union[Work, Cancel, Drain, TaskQuery, Stop, Heartbeat, RegisterAgain, Refused, Release, Prepare]
ToDriver = Union[
    Bound, ManagerHolds, ManagerUp, ManagerDown, Drained, BlockEmpty, IdleTimes, StatusReport, TaskReport, Results,
    Unreleased, Want, Chunk, Gone, Events, Samples, DialFailed, PoolReport, NoWorkers, Prepared,
]  # fmt: skip

Frames = Sequence[Any]
"""Large parts that travel after a head: bytes, buffers or ZeroMQ frames. No process on the way reads them."""

TaskParcel = tuple[Task, Frames]
ResultParcel = tuple[Result, Frames]

NO_FRAMES: Frames = ()

encode = msgspec.msgpack.Encoder().encode
MALFORMED = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors of the decoders and of `attach_frames` for a message that cnflow never sends; the last is for deep nesting."""

decode_to_interchange = msgspec.msgpack.Decoder(Union[ToInterchange, Heartbeat]).decode
decode_from_manager = msgspec.msgpack.Decoder(FromManager).decode
decode_to_manager = msgspec.msgpack.Decoder(ToManager).decode
decode_to_driver = msgspec.msgpack.Decoder(Union[ToDriver, Heartbeat]).decode


def task_parcel(
    task: TaskId,
    function: FunctionId,
    payload: Payload,
    walltime: float = 0.0,
    needs: Optional[Needs] = None,
    attempt: int = 0,
) -> TaskParcel:
    """Task with its large parts as frames."""
    body, buffers, python = payload
    if len(body) < OUT_OF_BAND and not buffers:
        return Task(task, function, body, python, 0, walltime, needs, attempt), NO_FRAMES
    frames = (body, *buffers)
    return Task(task, function, b"", python, len(frames), walltime, needs, attempt), frames


def result_parcel(task: TaskId, kind: int, seconds: float, python: str, parts: Sequence[Part]) -> ResultParcel:
    """Result of *task* with its large parts as frames; the first of *parts* is the body."""
    if len(parts) == 1 and len(parts[0]) < OUT_OF_BAND:
        return Result(task, kind, bytes(parts[0]), seconds, python), NO_FRAMES
    return Result(task, kind, b"", seconds, python, len(parts)), parts


def payload_parts(head: Task | Result, frames: Frames) -> list[Any]:
    """Body and buffers of a parcel, whether they travelled in the head or as frames."""
    return list(frames) if frames else [head.body]
