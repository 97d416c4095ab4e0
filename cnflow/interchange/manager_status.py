"""Reply to a query on the managers and the place of a task. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ids import ManagerId
from cnflow.wire.manager_messages import StatusReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import TaskId
    from cnflow.interchange.holders import HolderIndex
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.resource_aware import ResourceScheduler
    from cnflow.units import Seconds

_NO_MANAGER = ManagerId(b"")


def status_report(
    number: int,
    task: TaskId,
    managers: Mapping[ManagerId, ManagerRecord],
    holders: HolderIndex,
    scheduler: ResourceScheduler,
    now: Seconds,
) -> StatusReport:
    """Reply to query *number*: the state of all *managers*, and the place of *task*."""
    statuses = [record.status(manager, now) for manager, record in managers.items()]
    holder = holders.holder(task) or _NO_MANAGER
    is_queued = not holder and task >= 0  # the queue can be long: search it only if the task can be in it
    ahead = scheduler.position(task) if is_queued else -1
    return StatusReport(number, statuses, holder, ahead, scheduler.data.status(task, now))
