"""Reports of a manager to the sinks of the run: events of its workers, and samples of what its tasks use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Union

from cnflow.ids import WorkerRank
from cnflow.manager.usage.samples import Running, TaskSamples
from cnflow.manager.worker_events import WorkerEvents
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.ids import ManagerId
    from cnflow.manager.items.waiting import WaitingForItems
    from cnflow.manager.state import Manager
    from cnflow.manager.workers.polled import PolledWorkers
    from cnflow.manager.workers.process import WorkerProcess
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.wire.manager_messages import Events, Samples
    from cnflow.wire.pipe import Part, Record


_PAUSE = 0.05
"""Seconds between two looks for reports at least: a look or a line that takes longer is not waited for by turning."""


class Reports:
    """Collects both kinds of reports, from the manager's loop.

    Args:
        manager: id of the manager.
        host: name of its node.
        settings: of the manager.
        state: of its tasks.
        workers: that run.
        waits: of tasks for contents that travel apart from them.
    """

    def __init__(
        self,
        manager: ManagerId,
        host: str,
        settings: ManagerSettings,
        state: Manager,
        workers: PolledWorkers,
        waits: WaitingForItems,
    ) -> None:
        place = manager, settings.block, host
        self._events = WorkerEvents(*place, is_complete=settings.sends_events)
        self._samples = TaskSamples(*place, settings.sample_interval)
        self._state, self._workers, self._waits = state, workers, waits
        self._taken_at = Seconds(-math.inf)

    @property
    def order(self) -> list[Part]:
        """Records that make a new worker report; empty where nobody wants it to."""
        return self._samples.order if self._events.is_complete else []

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `take`."""
        due = min(self._events.next_deadline, self._samples.next_deadline)
        return Seconds(max(due, self._taken_at + _PAUSE))

    def on_records(self, worker: WorkerProcess, records: list[Record]) -> list[Record]:
        """Take the reports out of *records*, and return the others."""
        rank = WorkerRank(worker.rank)
        rest = self._events.on_records(rank, records, self._state)
        return self._samples.on_records(rank, worker.pid, rest, lambda: self._state.workers.attempts_of(rank))

    def on_work(self) -> None:
        """Look for tasks that have begun, with the next message."""
        self._events.on_work()

    def on_exit(self, worker: WorkerProcess, exitcode: int, cause: str) -> None:
        """Note that *worker* has ended, before its tasks are settled."""
        rank = WorkerRank(worker.rank)
        self._events.on_exit(rank, exitcode, cause)
        task = self._state.workers.running_tasks().get(rank)
        self._samples.on_exit(rank, None if task is None else Running(worker.pid, *task))

    def take(self, now: Seconds, *, is_full: bool) -> Iterator[Union[Events, Samples]]:
        """Yield the messages to send now; none while the line *is_full*."""
        self._taken_at = now
        self._events.on_waits(self._waits.take_notes())
        if self._events.is_due(now):
            self._events.on_waits(self._waits.progress())
            self._events.on_running(self._state.workers, now)
        if is_full:
            return
        is_last = self._samples.is_on and not self._state.workers.is_busy
        samples = self._samples.take(now, self._running, is_last=is_last)
        for message in (self._events.take(now), samples):
            if message is not None:
                yield message

    def _running(self) -> dict[int, Running]:
        pids = {worker.rank: worker.pid for worker in self._workers}
        tasks = self._state.workers.running_tasks().items()
        return {rank: Running(pids[rank], *task) for rank, task in tasks if rank in pids}
