"""What managers say of themselves, and questions about them; part of the control messages, see `messages`."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec

from cnflow.wire.base import Message


class Needs(msgspec.Struct, array_like=True, frozen=True):
    """What a task needs of the node that it runs on; below 0 is not said, and means what each worker counts for."""

    cores: float = -1.0
    memory: int = -1
    """Bytes."""

    accelerators: int = -1
    priority: float = math.inf
    """Lower goes first; tasks that say nothing come last."""


Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Node(msgspec.Struct, array_like=True, frozen=True):
    """What a manager has for its workers."""

    cores: Amount = 0.0
    memory: Count = 0
    """Bytes."""

    accelerators: Count = 0
    worker_cores: Amount = 1.0
    """That each worker counts for."""

    worker_memory: Count = 0
    """Bytes that each worker counts for; 0 does not look at memory."""

    life: float = math.inf
    """Seconds until the manager stops what runs then, since its block ends."""


class ManagerInfo(msgspec.Struct, array_like=True, frozen=True):
    """What a manager says of itself when it registers."""

    protocol: int
    cnflow: str
    python: str
    host: str
    block: str
    image: str
    slots: int
    pid: int
    python_version: str = ""
    """In full, such as 3.12.4; for people."""

    node: Node = Node()


class ManagerNow(msgspec.Struct, array_like=True, frozen=True):
    """A moment of one manager, as the interchange sees it."""

    id: bytes
    tasks: int
    """That it was given and has not given back."""

    idle: float
    """Seconds since it held a task; 0 while it holds one."""

    silent: float
    """Seconds since it was heard."""

    is_active: bool
    """It is given tasks: neither draining nor on hold."""

    is_draining: bool


# Driver -> interchange
class AskStanding(Message):
    """Say how the managers are, and where *task* is; -1 asks for none. *number* comes back with the answer."""

    number: int
    task: int


class Standing(Message):
    """Answers AskStanding."""

    number: int
    managers: list[ManagerNow]
    holder: bytes
    """The manager that has the task; empty if none has."""

    ahead: int
    """Tasks that wait for a manager before it does; -1 if it does not wait here."""


class Hold(Message):
    """Give this manager nothing more; what it has it keeps."""

    manager: bytes


# Driver -> interchange -> manager, and the answer back
class AskTask(Message):
    """Say whether *manager* runs *task*. *number* comes back with the answer."""

    number: int
    manager: bytes
    task: int


class TaskNow(Message):
    """Answers AskTask."""

    number: int
    rank: int
    """Of the worker that runs it; -1 if none does."""

    seconds: float
    """That it has run for."""
