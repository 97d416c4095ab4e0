"""Actions that the state of the interchange returns and `loop` performs.

``Send...`` is a message to a manager, or results to the driver; ``Report...`` is news of a manager for the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import BlockId, ManagerId, TaskId
    from cnflow.wire.function_messages import Function, Prepared
    from cnflow.wire.manager_messages import ManagerInfo, TaskQuery
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel


class SendWork(NamedTuple):
    """Send tasks to a manager, and the functions that it does not have yet; it may have to forget others before."""

    manager: ManagerId
    functions: list[Function]
    tasks: list[TaskParcel]
    forgets: bool = False


class SendResults(NamedTuple):
    """Send results to the driver."""

    results: list[ResultParcel]


class SendCancel(NamedTuple):
    """Order a manager to stop these attempts of tasks."""

    manager: ManagerId
    tasks: dict[TaskId, int]


class SendDrain(NamedTuple):
    """Order a manager to leave once it has finished the tasks that it holds."""

    manager: ManagerId
    block: BlockId


class SendTaskQuery(NamedTuple):
    """Forward a query of the driver to a manager."""

    manager: ManagerId
    query: TaskQuery


class SendPrepare(NamedTuple):
    """Have a manager load these models, in place of those before."""

    manager: ManagerId
    functions: list[Function]


class SendHeartbeat(NamedTuple):
    """Send a heartbeat to a manager that nothing was sent to for half a period."""

    manager: ManagerId


class SendRegisterAgain(NamedTuple):
    """Request registration of a manager that the predecessor had, or that is unknown."""

    manager: ManagerId


class SendStop(NamedTuple):
    """Order a manager to end."""

    manager: ManagerId


class SendRefused(NamedTuple):
    """Refuse a manager, for a reason that it logs."""

    manager: ManagerId
    reason: str


class ReportManagerUp(NamedTuple):
    """Report a new manager to the driver."""

    manager: ManagerId
    info: ManagerInfo


class ReportManagerDown(NamedTuple):
    """Report to the driver that a manager is gone, with the attempts that are lost."""

    manager: ManagerId
    reason: str
    lost: dict[TaskId, int]


class ReportDrained(NamedTuple):
    """Report to the driver that no manager is left of a block that it ordered to drain."""

    block: BlockId


class ReportUnreleased(NamedTuple):
    """Report to the driver blobs that a manager keeps, and of which the driver alone knows whether it fetches them."""

    manager: ManagerId
    blobs: list[bytes]


class ReportPrepared(NamedTuple):
    """Report to the driver that a worker has loaded a model, or cannot."""

    manager: ManagerId
    message: Prepared


class ReportBlockEmpty(NamedTuple):
    """Report to the driver that the managers of all nodes of a block have left by their own decision."""

    block: BlockId


Report = Union[ReportManagerUp, ReportManagerDown, ReportDrained, ReportBlockEmpty, ReportUnreleased, ReportPrepared]
REPORTS = (ReportManagerUp, ReportManagerDown, ReportDrained, ReportBlockEmpty, ReportUnreleased, ReportPrepared)
Action = Union[
    SendWork,
    SendResults,
    SendCancel,
    SendDrain,
    SendTaskQuery,
    SendPrepare,
    SendHeartbeat,
    SendRegisterAgain,
    SendStop,
    SendRefused,
    Report,
]


def merge_works(works: Iterable[SendWork]) -> list[SendWork]:
    """Merge the actions for each manager into one; another begins where the manager is to forget functions."""
    sent: dict[ManagerId, SendWork] = {}
    complete: list[SendWork] = []
    for work in works:
        if work.forgets and work.manager in sent:
            complete.append(sent[work.manager])
            sent[work.manager] = work
        elif work.manager in sent:
            sent[work.manager].functions.extend(work.functions)
            sent[work.manager].tasks.extend(work.tasks)
        else:
            sent[work.manager] = work
    return [*complete, *sent.values()]


def send_results(parcels: list[ResultParcel]) -> list[Action]:
    """Action that sends *parcels*; no action if there are none."""
    return [SendResults(parcels)] if parcels else []


def blobs_not_sent(results: Iterable[ResultParcel], actions: Iterable[Action]) -> list[bytes]:
    """Blobs and items of those *results* that *actions* do not send to the driver."""
    offered = [result for result, _ in results if result.blobs or result.items]
    if not offered:  # nearly always
        return []
    sent = {id(result) for action in actions if isinstance(action, SendResults) for result, _ in action.results}
    unsent = [result for result in offered if id(result) not in sent]
    return [name for result in unsent for name in (*(o.blob for o in result.blobs), *(i.id for i in result.items))]


def protocol_mismatch(protocol: int, version: str, expected: int) -> str:
    """Reason to refuse a manager of another *protocol*, which belongs to cnflow *version*."""
    found = f"protocol {protocol} (cnflow {version}), and the driver protocol {expected}"
    return f"the manager has {found}: rebuild the image's capsule with the driver's cnflow"


def cancel_result(task: Task) -> ResultParcel:
    """Result of a cancelled task that no manager holds."""
    return Result(task.id, ResultKind.CANCELLED, b"", attempt=task.attempt), NO_FRAMES
