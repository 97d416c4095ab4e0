"""What an executor tells of its managers, blocks and tasks while it works; names are the reference's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.errors import InterchangeLostError, UnknownNameError
from cnflow.executors.high_throughput.diagnosis import why_waiting
from cnflow.ids import ManagerId
from cnflow.model.status import ExecutorStatus
from cnflow.wire.manager_messages import Hold

if TYPE_CHECKING:
    import threading

    from cnflow.blocks import BlockController
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.ids import TaskId
    from cnflow.model.status import BlockReport
    from cnflow.model.task import TaskToRun
    from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus, StatusQuery, TaskQuery


class Introspection:
    """The part of `HighThroughput` that only looks. All of it may be called from any thread."""

    label: str
    image: str
    _held: dict[TaskId, TaskToRun]
    _line: InterchangeClient
    _roster: ConnectedManagers
    _blocks: BlockController | None
    _bound: threading.Event
    _closing: threading.Event

    def outstanding(self) -> int:
        """Tasks that wait or run."""
        return len(self._held)

    def status(self) -> ExecutorStatus:
        """Blocks as the provider sees them, managers and workers as the interchange does."""
        blocks = self._blocks.living if self._blocks else 0
        return ExecutorStatus(self.label, self.image, blocks, len(self._roster.managers()), self._roster.workers)

    @property
    def connected_workers(self) -> int:
        """Workers of the connected managers."""
        return self._roster.workers

    def connected_blocks(self) -> list[str]:
        """Ids of the blocks of which a manager has ever connected, those that ended since included."""
        return self._roster.blocks

    def connected_managers(self) -> list[dict[str, Any]]:
        """One dict for each connected manager.

        ``manager`` (its id), ``block_id``, ``hostname``, ``worker_count``, ``tasks`` (given to it and not given back),
        ``idle_duration`` (seconds without a task), ``active`` (whether it is given tasks), ``draining``,
        ``last_heartbeat_age`` (seconds since it was heard), ``python_version`` and ``cnflow_version``.

        Raises:
            InterchangeLostError: the interchange does not answer.
        """
        if not self._roster.managers():
            return []
        standing = self._roster.standing()
        if standing is None:
            if self._closing.is_set():
                return []
            raise InterchangeLostError(f"The interchange of executor {self.label!r} does not say how its managers are.")
        known = self._roster.managers()
        return [_as_told(now, info) for now in standing.managers if (info := known.get(ManagerId(now.id)))]

    def hold_worker(self, manager_id: str) -> None:
        """Have the manager of that id, as `connected_managers` tells it, given nothing more; what it has it ends.

        Raises:
            UnknownNameError: no such manager is connected.
        """
        known = {manager.hex(): manager for manager in self._roster.managers()}
        if manager_id not in known:
            raise UnknownNameError("manager", manager_id, known)
        self._line.order(Hold(known[manager_id]))

    def block_reports(self) -> list[BlockReport]:
        """The blocks, those that are only wanted so far included."""
        standing, managers = self._roster.standing(), self._roster.managers()
        if standing is None:
            return self._reports()
        tasks: dict[str, int] = {}
        for now in standing.managers:
            info = managers.get(ManagerId(now.id))
            if info is not None:
                tasks[info.block] = tasks.get(info.block, 0) + now.tasks
        return [replace(report, tasks=tasks.get(report.block, 0)) for report in self._reports()]

    def _reports(self) -> list[BlockReport]:
        return self._blocks.reports() if self._blocks is not None else []

    def explain_task(self, task: TaskId) -> list[str]:
        """See `cnflow.interfaces.Introspectable`."""
        if task not in self._held:
            return []
        standing = self._roster.standing(task)
        run = self._roster.task_on(standing.holder, task) if standing and standing.holder else None
        return why_waiting(self.label, standing, run, self._roster.managers(), self._reports())

    def _ask(self, question: StatusQuery | TaskQuery) -> bool:
        """Ask the interchange, unless there is none yet or no more."""
        if self._closing.is_set() or not self._bound.is_set():
            return False
        self._line.order(question)
        return True


def _as_told(now: ManagerStatus, info: ManagerInfo) -> dict[str, Any]:
    return {
        "manager": now.id.hex(),
        "block_id": info.block,
        "hostname": info.host,
        "worker_count": info.slots,
        "tasks": now.tasks,
        "idle_duration": now.idle,
        "active": now.is_active,
        "draining": now.is_draining,
        "last_heartbeat_age": now.silent,
        "python_version": info.python_version,
        "cnflow_version": info.cnflow,
    }
