"""Answers questions about the managers, blocks and tasks of a running executor; field names are Parsl's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.config.existing_pool import ExistingPool
from cnflow.errors import InterchangeLostError, UnknownNameError
from cnflow.executors.high_throughput.diagnosis import why_waiting
from cnflow.ids import ManagerId
from cnflow.model.status import ExecutorStatus
from cnflow.wire.manager_messages import Hold

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.provisioning import BlockProvisioner
    from cnflow.ids import TaskId
    from cnflow.model.status import BlockReport
    from cnflow.wire.manager_messages import ManagerInfo, ManagerStatus


class Introspection:
    """Looks at the parts of one executor and changes none of them but a manager on hold. Safe from any thread.

    Args:
        settings: of the executor.
        client: carries the order for a manager on hold.
        managers: source of what the interchange reports.
        provisioner: source of what the block controller reports.
    """

    def __init__(
        self,
        settings: HighThroughputExecutor,
        client: InterchangeClient,
        managers: ConnectedManagers,
        provisioner: BlockProvisioner,
    ) -> None:
        self._label = settings.label
        self._image = str(settings.image)
        self._is_in_pool = isinstance(settings.provider, ExistingPool)
        self._client = client
        self._managers = managers
        self._provisioner = provisioner

    def status(self) -> ExecutorStatus:
        """Blocks as the provider reports them, managers and workers as the interchange does."""
        controller = self._provisioner.controller
        blocks = controller.living if controller else 0
        managers = self._managers
        return ExecutorStatus(self._label, self._image, blocks, len(managers.managers()), managers.workers)

    def connected_managers(self) -> list[dict[str, Any]]:
        """One dict for each connected manager.

        ``manager`` (its id), ``block_id``, ``hostname``, ``worker_count``, ``tasks`` (that it holds),
        ``idle_duration`` (seconds without a task), ``active`` (it is sent tasks), ``draining``,
        ``last_heartbeat_age`` (seconds since its last message), ``python_version`` and ``cnflow_version``.

        Raises:
            InterchangeLostError: the interchange does not answer.
        """
        if not self._managers.managers():
            return []
        report = self._managers.report()
        if report is None:
            if self._managers.is_closed:
                return []
            raise InterchangeLostError(
                f"The interchange of executor {self._label!r} does not answer; see interchange.log in its folder."
            )
        known = self._managers.managers()
        return [_as_dict(now, info) for now in report.managers if (info := known.get(ManagerId(now.id)))]

    def hold_worker(self, manager_id: str) -> None:
        """See `HighThroughputBackend.hold_worker`."""
        known = {manager.hex(): manager for manager in self._managers.managers()}
        if manager_id not in known:
            raise UnknownNameError("manager", manager_id, known)
        self._client.order(Hold(known[manager_id]))

    def block_reports(self) -> list[BlockReport]:
        """See `cnflow.interfaces.Introspectable`."""
        report, managers = self._managers.report(), self._managers.managers()
        if report is None:
            return self._block_reports()
        tasks: dict[str, int] = {}
        came: dict[str, list[int]] = {}
        for manager in managers.values():
            came.setdefault(str(manager.block), []).append(manager.node_rank)
        expected = {str(info.block): info.nodes for info in managers.values()}
        for now in report.managers:
            info = managers.get(ManagerId(now.id))
            if info is not None:
                tasks[info.block] = tasks.get(info.block, 0) + now.tasks
        return [
            replace(
                block,
                tasks=tasks.get(block.block, 0),
                message=_with_nodes(block.message, came.get(block.block, []), expected.get(block.block, 0)),
            )
            for block in self._block_reports()
        ]

    def drain_block(self, block: str) -> None:
        """See `cnflow.interfaces.introspection.DrainsBlocks`."""
        controller = self._provisioner.controller
        known = [report.block for report in self._block_reports()]
        if controller is None or block not in known:
            raise UnknownNameError("block", block, known)
        controller.drain(block)

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentences on a task that the executor has; see `cnflow.interfaces.Introspectable`."""
        if outage := self._client.outage.describe():
            return [outage]
        report = self._managers.report(task)
        running = self._managers.task_on(report.holder, task) if report and report.holder else None
        pool = self._provisioner.pool_news.describe() if self._is_in_pool else ""
        lines = why_waiting(self._label, report, running, self._managers.managers(), self._block_reports(), pool)
        is_waiting = report is None or not report.holder
        controller = self._provisioner.controller
        return [*lines, *controller.explain()] if is_waiting and controller is not None else lines

    def _block_reports(self) -> list[BlockReport]:
        controller = self._provisioner.controller
        return controller.reports() if controller is not None else []


def _with_nodes(message: str, came: Collection[int], expected: int) -> str:
    """*message* about a block, after the numbers of those nodes of the *expected* ones that are not connected."""
    if len(came) >= expected:
        return message
    missing = [str(rank) for rank in range(expected) if rank not in came]
    return f"{len(came)} of {expected} nodes are connected. Not connected: {', '.join(missing)}. {message}".rstrip()


def _as_dict(now: ManagerStatus, info: ManagerInfo) -> dict[str, Any]:
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
