"""One standing pool: its interchange, which serves drivers by itself, and the blocks that follow their tasks.

::

    drivers ══ tasks, results ══> interchange <══ managers
                                      │  ^
                PoolReport, ManagerUp │  │ Admit, Drain, BlockGone
                                      v  │
               LivePool ── demand ──> blocks: a provider's (`provider_blocks`), or pods (`deployments`)
                  │
                  ├── no manager, and no block starts: NoWorkers ──> interchange ──> drivers
                  └── failed: the same, for good; the server, whose status shows the error, starts the pool again later

No task passes this process: its tasks are numbers in reports.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cnflow.executors.high_throughput.demand import expected_shape
from cnflow.executors.high_throughput.interchange_process import interchange_lost_error
from cnflow.wire import messages as msg
from cnflow.wire.manager_messages import NoWorkers, PoolReport, StatusReport, TaskReport
from cnflow.worker_pool.demand import PoolDemand
from cnflow.worker_pool.status import PoolSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnflow.blocks import Demand
    from cnflow.config.worker_pool import WorkerPool
    from cnflow.errors import CnflowError
    from cnflow.executors.high_throughput.interchange_client import InterchangeClient
    from cnflow.executors.high_throughput.managers import ConnectedManagers
    from cnflow.executors.high_throughput.provisioning import Owner
    from cnflow.executors.high_throughput.task_queue import SerializedTask
    from cnflow.model.status import BlockReport
    from cnflow.wire.manager_messages import ManagerInfo

logger = logging.getLogger(__name__)


class PoolBlocks(Protocol):
    """Blocks of one pool, and the interchange that is started with them. Events come from the client's thread.

    Attributes:
        expected_slots: workers of a block, until the first one has connected.
    """

    expected_slots: int

    def start(self, owner: Owner) -> None:
        """Begin to start interchange and blocks, in a thread."""

    def on_manager_up(self, info: ManagerInfo) -> None:
        """Handle a manager that has registered."""

    def on_manager_down(self, info: ManagerInfo) -> None:
        """Handle a manager that is gone."""

    def on_news(self, message: msg.Drained | msg.BlockEmpty | msg.IdleTimes) -> None:
        """Handle a message of the interchange about blocks."""

    def on_demand(self, tasks: int) -> None:
        """Handle a report of *tasks* unfinished tasks."""

    def reports(self) -> list[BlockReport]:
        """Return a report on each block."""

    def why_no_workers(self) -> NoWorkers:
        """Return why no manager is connected; no reason if one may come any moment. Due every second or so."""

    def on_failure(self) -> None:
        """End the blocks without waiting: the pool cannot go on."""

    def close(self) -> None:
        """Begin nothing more; the interchange is stopped after this."""

    def stop(self) -> None:
        """End the blocks, as far as they end with the server, and wait for that; the interchange was stopped before."""


class PoolParts(NamedTuple):
    """Collaborators of one pool."""

    client: InterchangeClient
    managers: ConnectedManagers
    blocks: PoolBlocks
    log_dir: Path


class LivePool:
    """Serves the tasks of all clients in one image, from `start` to `close`.

    Args:
        settings: of the pool.
        parts: made for it.

    Attributes:
        failure_before: why the server has started the pool again; empty for a first start.
    """

    def __init__(self, settings: WorkerPool, parts: PoolParts) -> None:
        self.settings = settings
        self.label = settings.label
        self._client, self._managers, self._blocks, self._log_dir = parts
        self._demand = PoolDemand(expected_shape(settings, parts.blocks.expected_slots))
        self.failure_before = ""
        self._sent_news, self._has_sent_last = NoWorkers(""), False
        self._lock = threading.Lock()
        self._is_closing = False
        self.error: CnflowError | None = None
        """Why the pool cannot go on; None while it can."""

        self.report: PoolReport | None = None
        """The interchange's last one; None before the first."""

    @property
    def is_ready(self) -> bool:
        """Drivers can connect."""
        return self.error is None and not self._client.is_lost and self._client.wait_until_bound(0.0)

    def start(self) -> None:
        """Begin to start interchange and blocks."""
        self._blocks.start(self)

    def close(self) -> None:
        """Stop interchange, managers and blocks, and wait for that. Tasks of clients stay theirs."""
        with self._lock:
            is_second, self._is_closing = self._is_closing, True
        if is_second:
            return
        self._blocks.close()
        self._managers.close()
        self._client.stop()
        self._blocks.stop()

    def report_workers(self) -> None:
        """Report to the clients why there is no worker, if that has changed; due every second or so."""
        self._send_news(self._why_no_workers())

    def _why_no_workers(self) -> NoWorkers:
        news = self._blocks.why_no_workers()
        if self._managers.managers():
            self.failure_before = ""
            return NoWorkers("")
        if self.failure_before and not news.reason:
            return NoWorkers(f"it was started again after a failure: {self.failure_before}")
        return news

    def _send_news(self, news: NoWorkers, *, is_last: bool = False) -> None:
        with self._lock:
            if news != self._sent_news and not self._has_sent_last:
                self._sent_news, self._has_sent_last = news, is_last
                self._client.order(news)

    def snapshot(self) -> PoolSnapshot:
        """Return what its parts know at this moment; safe from any thread."""
        return PoolSnapshot(
            self.report,
            self._demand.current(),
            list(self._managers.managers().values()),
            self._blocks.reports(),
            self.is_ready,
            "" if self.error is None else str(self.error),
        )

    # Events, from the client's thread and those of the blocks

    def demand(self) -> Demand:
        """Tasks of all clients, and what they need."""
        return self._demand.current()

    def on_message(self, message: Any, attached: list[Any]) -> None:  # noqa: ANN401 - those of pools besides `ToDriver`
        """Handle a message of the interchange."""
        del attached
        match message:
            case PoolReport():
                self._on_report(message)
            case msg.ManagerUp(manager, info):
                self._demand.on_node(info)
                if self._managers.on_connected(manager, info, message.number):
                    self._blocks.on_manager_up(info)
            case msg.ManagerDown():
                lost = self._managers.on_lost(message.id)
                if lost is not None:
                    logger.info("pool %s lost a manager of block %s: %s", self.label, lost.block, message.reason)
                    self._blocks.on_manager_down(lost)
            case msg.Drained() | msg.BlockEmpty() | msg.IdleTimes():
                self._blocks.on_news(message)
            case StatusReport() | TaskReport():
                self._managers.on_answer(message)
            case _:
                pass

    def _on_report(self, report: PoolReport) -> None:
        self.report = report
        self._demand.on_report(report)
        self._blocks.on_demand(self._demand.tasks)

    def on_interchange_lost(self, how: str) -> None:
        """Note that the interchange is not started again."""
        self.on_failure(interchange_lost_error(self.label, how, self._log_dir / "interchange.log"))

    def on_failure(self, error: CnflowError) -> None:
        """Note that the pool cannot go on, unless it ends anyway."""
        if not self._is_closing:
            logger.error("pool %s cannot go on: %s", self.label, error)
            self._send_news(
                NoWorkers(str(error), is_final=True), is_last=True
            )  # before the error, which ends the interchange
            self.error = error
            self._blocks.on_failure()

    def unfinished(self) -> Iterator[SerializedTask]:
        """Give nothing to an interchange that was restarted: drivers send it their tasks themselves."""
        return iter(())
