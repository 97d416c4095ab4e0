"""Every decision of a manager.

Rule 1: what is decided is decided here; `loop` and `processes` only move bytes and start processes.
Rule 2: nothing here waits, reads a clock, logs or touches a socket.

A worker's life, and a task's place in it::

    starting ──ready──> idle ──task──> busy ──result──> idle
                          │              │
                          └────exited────┴──> the slot is started anew; the task that ran fails with WORKER_LOST,
                                              tasks that were only waiting in its pipe go back to the queue
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Union

from cnflow.wire.messages import NO_FRAMES, Loss, Result, encode_loss
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import FunctionId, WorkerRank
    from cnflow.manager.slots import Pace
    from cnflow.wire.messages import Function, ResultParcel, TaskParcel


class StartWorker(NamedTuple):
    """Start the worker of this rank, for the first time or anew."""

    rank: WorkerRank


class GiveFunction(NamedTuple):
    """Write a function to a worker that has not seen it."""

    rank: WorkerRank
    function: Function


class GiveTask(NamedTuple):
    """Write a task to a worker."""

    rank: WorkerRank
    task: TaskParcel


class Quit(NamedTuple):
    """Workers cannot live here: end the manager."""

    reason: str


Action = Union[StartWorker, GiveFunction, GiveTask, Quit]

_STILLBORN_LIMIT = 3
"""Workers that may die before their first sign of life, one after the other, before the manager gives up."""


class _Worker:
    __slots__ = ("functions", "ready", "tasks")

    def __init__(self) -> None:
        self.ready = False
        self.tasks: deque[TaskParcel] = deque()  # written to its pipe, first one runs
        self.functions: set[FunctionId] = set()


class Manager:
    """The state; see the module for its rules.

    Args:
        slots: workers to keep.
        pace: how much to hold in advance.
        python: minor version that the workers run.
        where: host, block and image, for messages.
    """

    def __init__(self, slots: int, pace: Pace, python: str, where: str) -> None:
        self.slots = slots
        self._pace = pace
        self._python = python
        self._where = where
        self._functions: dict[FunctionId, Function] = {}
        self._queue: deque[TaskParcel] = deque()
        self._workers: dict[WorkerRank, _Worker] = {}
        self._stillborn = 0
        self._results: list[ResultParcel] = []

    @property
    def window(self) -> int:
        """Tasks that this manager wants to hold in all; none before a worker lives."""
        ready = sum(worker.ready for worker in self._workers.values())
        return ready + self._pace.ahead(ready)

    def take_results(self) -> list[ResultParcel]:
        """Results since the last call; they are the caller's now."""
        results, self._results = self._results, []
        return results

    def held(self) -> list[int]:
        """Ids of the tasks that are queued or with a worker."""
        parcels = [*self._queue, *(task for worker in self._workers.values() for task in worker.tasks)]
        return [task.id for task, _ in parcels]

    def is_idle(self, rank: WorkerRank) -> bool:
        """Whether this worker has nothing to do."""
        return not self._workers[rank].tasks

    def started(self) -> list[Action]:
        """The manager begins."""
        return [self._start(rank) for rank in range(self.slots)]  # type: ignore[arg-type]  # ranks are plain numbers

    def work(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> None:
        """The interchange sent tasks."""
        for function in functions:
            self._functions[function.id] = function  # type: ignore[index]  # plain bytes on the wire
        for parcel in tasks:
            self._admit(parcel)

    def ready(self, rank: WorkerRank) -> None:
        """A worker lives."""
        self._stillborn = 0
        self._workers[rank].ready = True

    def returned(self, rank: WorkerRank, results: Iterable[ResultParcel]) -> None:
        """A worker gave results back, in the order in which it was given the tasks."""
        tasks = self._workers[rank].tasks
        for parcel in results:
            tasks.popleft()
            self._pace.ran(parcel[0].seconds)
            self._results.append(parcel)

    def exited(self, rank: WorkerRank, exitcode: int, stderr_tail: str) -> list[Action]:
        """A worker's process ended. Its slot is filled again."""
        worker = self._workers[rank]
        if worker.tasks:
            task, _ = worker.tasks.popleft()
            loss = Loss(f"{self._where}, worker {rank}", exitcode, stderr_tail)
            self._results.append((Result(task.id, ResultKind.WORKER_LOST, encode_loss(loss)), NO_FRAMES))
            self._queue.extendleft(reversed(worker.tasks))
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN_LIMIT:
                return [Quit(f"workers die as they start, exit code {exitcode}: {stderr_tail.strip() or 'no output'}")]
        return [self._start(rank)]

    def dispatch(self) -> list[Action]:
        """Call it after each round of events. Idle workers first; then, while tasks are short, more for each."""
        actions: list[Action] = []
        for depth in (1, self._pace.in_pipe()):
            for rank, worker in self._workers.items():
                while self._queue and worker.ready and len(worker.tasks) < depth:
                    self._give(rank, worker, actions)
        return actions

    def _start(self, rank: WorkerRank) -> StartWorker:
        self._workers[rank] = _Worker()
        return StartWorker(rank)

    def _admit(self, parcel: TaskParcel) -> None:
        task = parcel[0]
        function = self._functions[task.function]  # type: ignore[index]  # plain bytes on the wire
        python = task.python or function.python
        if python in {"", self._python}:
            self._queue.append(parcel)
            return
        reason = f"{python} {self._python} {self._where}".encode()
        self._results.append((Result(task.id, ResultKind.REFUSED, reason), NO_FRAMES))

    def _give(self, rank: WorkerRank, worker: _Worker, actions: list[Action]) -> None:
        parcel = self._queue.popleft()
        function: FunctionId = parcel[0].function  # type: ignore[assignment]  # plain bytes on the wire
        if function not in worker.functions:
            worker.functions.add(function)
            actions.append(GiveFunction(rank, self._functions[function]))
        worker.tasks.append(parcel)
        actions.append(GiveTask(rank, parcel))
