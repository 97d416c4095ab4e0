"""What the state of the interchange has `loop` do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.ids import BlockId, ManagerId, TaskId
    from cnflow.wire.manager_messages import ManagerInfo, TaskQuery
    from cnflow.wire.messages import Function, ResultParcel, TaskParcel


class SendWork(NamedTuple):
    """Give a manager tasks, and the functions that it has not seen."""

    manager: ManagerId
    functions: list[Function]
    tasks: list[TaskParcel]


class SendResults(NamedTuple):
    """Hand results to the driver."""

    results: list[ResultParcel]


class SendCancel(NamedTuple):
    """Tell a manager which of its tasks to stop."""

    manager: ManagerId
    tasks: list[TaskId]


class SendDrain(NamedTuple):
    """Tell a manager that it gets nothing more, and is to leave when it has done what it has."""

    manager: ManagerId
    block: BlockId


class SendQuestion(NamedTuple):
    """Pass on what the driver wants to know of a manager."""

    manager: ManagerId
    question: TaskQuery


class TellDrained(NamedTuple):
    """Tell the driver that no manager of this block is left."""

    block: BlockId


class SendHeartbeat(NamedTuple):
    """Nothing was said to this manager for a period."""

    manager: ManagerId


class SendRegisterAgain(NamedTuple):
    """Ask a manager that the interchange before this one knew, or that nobody knows, to register."""

    manager: ManagerId


class SendStop(NamedTuple):
    """Tell a manager to end."""

    manager: ManagerId


class Refuse(NamedTuple):
    """Tell a manager why it cannot take part."""

    manager: ManagerId
    reason: str


class TellUp(NamedTuple):
    """Tell the driver of a new manager."""

    manager: ManagerId
    info: ManagerInfo


class TellDown(NamedTuple):
    """Tell the driver that a manager is gone, and which of its tasks with it."""

    manager: ManagerId
    reason: str
    lost: list[TaskId]


Action = (
    SendWork
    | SendResults
    | SendCancel
    | SendDrain
    | SendQuestion
    | SendHeartbeat
    | SendRegisterAgain
    | SendStop
    | Refuse
    | TellUp
    | TellDown
    | TellDrained
)


def results_in(parcels: list[ResultParcel]) -> list[Action]:
    """The action that hands them over; none if there are none."""
    return [SendResults(parcels)] if parcels else []
