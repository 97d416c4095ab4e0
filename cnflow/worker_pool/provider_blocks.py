"""Blocks of a pool that a provider starts: the block controller of executors, on behalf of a pool.

::

    start ──> provider, image, interchange, controller (`BlockProvisioner`) ──> events ──> close, stop: all are removed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.executors.high_throughput import block_news
from cnflow.executors.high_throughput.block_requests import expected_slots
from cnflow.wire.manager_messages import NoWorkers

if TYPE_CHECKING:
    from cnflow.config.worker_pool import WorkerPool
    from cnflow.executors.high_throughput.controllers import Controller
    from cnflow.executors.high_throughput.provisioning import BlockProvisioner, Owner
    from cnflow.model.status import BlockReport
    from cnflow.wire import messages as msg
    from cnflow.wire.manager_messages import ManagerInfo


class ProviderBlocks:
    """See `cnflow.worker_pool.pool.PoolBlocks`.

    Args:
        settings: of the pool.
        provisioner: made for it.
    """

    def __init__(self, settings: WorkerPool, provisioner: BlockProvisioner) -> None:
        self.expected_slots = expected_slots(settings)
        self._provisioner = provisioner

    @property
    def _controller(self) -> Controller | None:
        return self._provisioner.controller

    def start(self, owner: Owner) -> None:
        """See `PoolBlocks`."""
        self._provisioner.start(owner)

    def on_manager_up(self, info: ManagerInfo) -> None:
        """See `PoolBlocks`."""
        if self._controller is not None:
            self._controller.on_manager_connected(info.block, info.slots, info.node_rank, info.host)

    def on_manager_down(self, info: ManagerInfo) -> None:
        """See `PoolBlocks`."""
        if self._controller is not None:
            self._controller.on_manager_lost(info.block, info.slots)

    def on_news(self, message: msg.Drained | msg.BlockEmpty | msg.IdleTimes) -> None:
        """See `PoolBlocks`."""
        if self._controller is not None:
            block_news.pass_on(message, self._controller)

    def on_demand(self, tasks: int) -> None:
        """Wake the controller where more blocks may be needed."""
        if self._controller is not None and tasks > self._controller.enough_for:
            self._controller.wake()

    def reports(self) -> list[BlockReport]:
        """See `PoolBlocks`."""
        return self._controller.reports() if self._controller is not None else []

    def why_no_workers(self) -> NoWorkers:
        """See `PoolBlocks`; final news come as a failure of the pool."""
        controller = self._controller
        if controller is None:
            return NoWorkers("")
        pending = (
            f"block {each.block}: {each.message}"
            for each in controller.reports()
            if each.state == "pending" and each.message
        )
        return NoWorkers(controller.present_failure or next(pending, ""))

    def on_failure(self) -> None:
        """See `PoolBlocks`."""
        self._provisioner.stop_blocks()

    def close(self) -> None:
        """See `PoolBlocks`."""
        self._provisioner.close()

    def stop(self) -> None:
        """See `PoolBlocks`."""
        self._provisioner.stop_blocks()
        self._provisioner.join()
