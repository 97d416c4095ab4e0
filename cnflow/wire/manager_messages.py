"""Control messages that describe managers, nodes and clients, and queries about them; `messages` has the table."""

from __future__ import annotations

import math
from typing import Annotated, Optional

import msgspec

from cnflow.ids import BlockId, ManagerId, TaskId, WorkerRank
from cnflow.model.samples import NodeUse
from cnflow.wire.base import Message


class Needs(msgspec.Struct, array_like=True, frozen=True):
    """Resources that a task needs on its node. A value below 0 is unset: the share of one worker (`Node`) is taken."""

    cores: float = -1.0
    memory: int = -1
    """Bytes."""

    accelerators: int = -1
    priority: float = math.inf
    """Lower runs first; tasks without needs run last."""


NonNegativeFloat = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Duration = Annotated[float, msgspec.Meta(ge=0)]
"""Seconds, infinite where there is no end; the decoder refuses what has no place in an order, such as NaN."""

NonNegativeInt = Annotated[int, msgspec.Meta(ge=0)]


class Node(msgspec.Struct, array_like=True, frozen=True):
    """Resources that a manager has for its workers."""

    cores: NonNegativeFloat = 0.0
    memory: NonNegativeInt = 0
    """Bytes."""

    accelerators: NonNegativeInt = 0
    worker_cores: NonNegativeFloat = 1.0
    """Cores that each worker counts for."""

    worker_memory: NonNegativeInt = 0
    """Bytes that each worker counts for; 0: memory is not counted."""

    life: Duration = math.inf
    """Seconds from the start of the manager until its block ends and it stops the tasks that still run."""

    left: Duration = math.inf
    """Seconds of `life` that are left when the manager registers."""


class ManagerInfo(msgspec.Struct, array_like=True, frozen=True):
    """Description that a manager sends when it registers."""

    protocol: int
    cnflow: str
    python: str
    host: str
    block: BlockId
    image: str
    slots: NonNegativeInt
    """Workers, each of which runs one task at a time."""

    pid: int
    python_version: str = ""
    """Full version, such as 3.12.4; for display only."""

    node: Node = Node()
    node_rank: NonNegativeInt = 0
    """Number of the manager's node within its block, from 0."""

    nodes: NonNegativeInt = 1
    """Nodes of the block, each of which has a manager."""

    packages: str = ""
    """Digest of the packages of its Python (`cnflow.model.packages`); empty in an image, whose probe has it."""

    shares_memory: bool = False
    """It has read `ManagerSettings.driver_memory`: files in memory are the driver's, too."""


class ManagerStatus(msgspec.Struct, array_like=True, frozen=True):
    """State of one manager at one moment, as recorded by the interchange."""

    id: ManagerId
    tasks: int
    """Tasks that were sent to the manager and have no result yet."""

    idle: float
    """Seconds since the manager held a task; 0 while it holds one."""

    silent: float
    """Seconds since its last message arrived."""

    is_active: bool
    """The manager is sent tasks: it is neither draining nor on hold."""

    is_draining: bool


# Driver -> interchange
class StatusQuery(Message):
    """Report the state of all managers and the place of *task*; -1 is no task. The reply has the same *number*."""

    number: int
    task: TaskId


class DataStatus(msgspec.Struct, array_like=True, frozen=True):
    """Wait of a task for a worker where its data is."""

    manager: ManagerId
    """Manager that has the data."""

    bytes: int
    """Bytes to move if the task ran elsewhere."""

    seconds: float
    """Longest wait from now on."""


class StatusReport(Message):
    """Reply to `StatusQuery`."""

    number: int
    managers: list[ManagerStatus]
    holder: ManagerId
    """Manager that holds the task; empty if none does."""

    ahead: int
    """Tasks that are queued before it; -1 if it is not queued in the interchange."""

    data: Optional[DataStatus] = None
    """Set while a worker is free, but not where the task's data is."""


class Hold(Message):
    """Send this manager no more tasks; it keeps those that it holds."""

    manager: ManagerId


# Driver -> interchange -> manager, and back
class TaskQuery(Message):
    """Report whether *manager* runs *task*. The reply has the same *number*."""

    number: int
    manager: ManagerId
    task: TaskId


class TaskReport(Message):
    """Reply to `TaskQuery`."""

    number: int
    rank: WorkerRank
    """Worker that runs the task; -1 if none does."""

    seconds: float
    """Run time so far."""


# Manager -> interchange
class HeldTask(msgspec.Struct, array_like=True, gc=False):
    """A task that a manager holds, or whose result no driver has acknowledged."""

    attempt: NonNegativeInt
    digest: bytes
    """See `cnflow.wire.task_digest`."""

    classes: tuple[str, ...] = ()
    """See `cnflow.wire.task_digest`."""


class Holding(Message):
    """Tasks of a killed driver, for the one that adopts its run. Sent after `Register` and before their results."""

    tasks: dict[TaskId, HeldTask]


# Interchange -> driver
class ManagerHolds(Message):
    """`Holding` of a manager."""

    id: ManagerId
    tasks: dict[TaskId, HeldTask]


class WorkerNote(msgspec.Struct, array_like=True, gc=False):
    """Event in a worker; see `cnflow.model.events.WorkerEvent`."""

    time: float
    worker: int
    state: str
    task: int = -1
    attempt: int = -1
    reason: str = ""
    url: str = ""
    done: int = -1
    total: int = -1


class Events(Message):
    """Events of the workers of one manager, for the sinks of the run."""

    manager: ManagerId
    block: BlockId
    host: str
    events: list[WorkerNote]
    dropped: NonNegativeInt = 0
    """Events before these that the manager had no room for."""

    lost: NonNegativeInt = 0
    """Events before these that the interchange had no room for."""


class Samples(Message):
    """What the tasks of one manager use, and its node; dropped where a line cannot keep up, and counted then."""

    manager: ManagerId
    block: BlockId
    host: str
    count: NonNegativeInt
    """Number of samples in `packed`."""

    packed: bytes
    """See `cnflow.model.samples`; only the store of the run unpacks it."""

    nodes: list[NodeUse]
    dropped: NonNegativeInt = 0
    """Samples before these that the manager had no room for."""

    lost: NonNegativeInt = 0
    """Samples before these that the interchange had no room for."""


# Owner of an interchange of several clients -> interchange -> clients
class NoWorkers(Message):
    """Why a pool without a manager gets none; kept for clients that come later, until a manager registers."""

    reason: str
    """Empty: it may get some, whatever was sent before."""

    is_final: bool = False
    """No manager comes before a person has changed something, so that waiting is of no use."""


# Interchange of several clients -> its owner
class ClientStatus(msgspec.Struct, array_like=True, frozen=True):
    """State of one session of a client at one moment."""

    name: str
    """That of the client's key; a client may have several sessions."""

    session: str
    """Its identity, as hexadecimal digits."""

    is_connected: bool
    weight: float
    queued: NonNegativeInt
    """Tasks that no manager has."""

    running: NonNegativeInt
    """Tasks that were sent to a manager."""

    ended: NonNegativeInt
    """Results that were sent to the client, or wait for it."""

    idle: Duration
    """Seconds since its last message."""


class QueuedNeeds(msgspec.Struct, array_like=True, frozen=True):
    """Number of unfinished tasks with the same needs."""

    unfinished: NonNegativeInt
    queued: NonNegativeInt
    """Those of them that no manager has."""

    needs: Needs
    """Their priority does not count here. Tasks without needs have those of one worker."""


class PoolReport(Message):
    """State of the queues: sent when it has changed, at most once in `PoolInterchangeSettings.report_period`."""

    clients: list[ClientStatus]
    needs: list[QueuedNeeds]
    submitted: NonNegativeInt
    """Tasks that were submitted since the interchange started."""

    ended: NonNegativeInt
    """Those of them that have ended."""

    managers: NonNegativeInt
    """Registered managers."""
