"""Processes of the workers that run, and which of their descriptors the manager's loop waits for.

::

    add ──> readable: results, output, its end ──end closed──> that end no more ──exit──> remove
                  └── writable, too, while tasks wait for room in its pipe
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.ids import WorkerRank
from cnflow.wire import sockets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.manager.workers.process import WorkerProcess


class PolledWorkers:
    """The workers by rank; *poller* is that of the loop."""

    def __init__(self, poller: sockets.Poller) -> None:
        self._poller = poller
        self._workers: dict[WorkerRank, WorkerProcess] = {}
        self._by_source: dict[Any, WorkerProcess] = {}
        self._waits_for_room: set[WorkerRank] = set()

    def __getitem__(self, rank: WorkerRank) -> WorkerProcess:
        return self._workers[rank]

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(self._workers.values())

    def has(self, worker: WorkerProcess) -> bool:
        """True unless *worker* was removed, or another has its rank by now."""
        return self._workers.get(WorkerRank(worker.rank)) is worker

    def ready(self, events: Mapping[Any, int]) -> Iterator[tuple[WorkerProcess, Any, int]]:
        """Yield workers, sources and *events*; not of workers that end while the events before are handled."""
        for source, flags in events.items():
            worker = self._by_source.get(source)
            if worker is not None and self.has(worker):
                yield worker, source, flags

    def add(self, worker: WorkerProcess) -> None:
        """Wait for *worker* from now on."""
        self._workers[WorkerRank(worker.rank)] = worker
        for source in worker.descriptors:
            self._by_source[source] = worker
            self._poller.register(source, sockets.READABLE)

    def flush(self, worker: WorkerProcess) -> None:
        """Write what waits for *worker*; wait for room if some is left."""
        worker.flush()
        rank, is_full = WorkerRank(worker.rank), worker.has_unsent
        if is_full == (rank in self._waits_for_room):
            return  # as for nearly every task: what is polled for costs a system call to change
        if worker.socket.fileno() in self._by_source:
            events = sockets.READABLE | sockets.WRITABLE if is_full else sockets.READABLE
            self._poller.modify(worker.socket.fileno(), events)
        if is_full:
            self._waits_for_room.add(rank)
        else:
            self._waits_for_room.discard(rank)

    def unregister_closed_ends(self, worker: WorkerProcess) -> None:
        """Wait no more for what *worker* has closed."""
        for closed, source in ((worker.socket_closed, worker.socket.fileno()), (worker.output_closed, worker.output)):
            if closed:
                self._unregister(source)

    def remove(self, worker: WorkerProcess) -> None:
        """Forget *worker*, which has ended; before its descriptors are closed."""
        for source in worker.descriptors:
            self._unregister(source)
        del self._workers[WorkerRank(worker.rank)]
        self._waits_for_room.discard(WorkerRank(worker.rank))

    def clear(self) -> None:
        """Forget all workers, which the caller has ended and closed."""
        self._workers.clear()
        self._waits_for_room.clear()

    def _unregister(self, source: Any) -> None:  # noqa: ANN401 - a descriptor, or an object with one
        if source in self._by_source:
            self._poller.unregister(source)
            del self._by_source[source]
