"""Every decision of a manager.

Rule 1: what is decided is decided here; `loop` and `processes` only move bytes and start processes.
Rule 2: nothing here waits, reads a clock, logs or touches a socket.

A worker's life, and a task's place in it::

    starting ──ready──> idle ──task──> busy ──result──> idle
                          │              │
                          └────exited────┴──> the slot is started anew; the task that ran fails with WORKER_LOST,
                                              tasks that were only waiting in its pipe go back to the queue

A worker stops its task by itself at the walltime, or when it is told that the task is cancelled. If there is no result
a grace later, the worker is killed, and the task ends as TIMED_OUT or CANCELLED instead of WORKER_LOST.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from cnflow.ids import WorkerRank
from cnflow.manager import own_results
from cnflow.manager.actions import (
    Action,
    GiveFunction,
    GiveTask,
    KillWorker,
    Quit,
    RestartWorker,
    StartWorker,
    StopTask,
)
from cnflow.manager.node.accelerators import AcceleratorPool
from cnflow.manager.workers.exit import Exit
from cnflow.manager.workers.worker import Worker
from cnflow.units import Seconds
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cnflow.ids import FunctionId, TaskId
    from cnflow.manager.prefetch import Prefetch
    from cnflow.wire.messages import Function, ResultParcel, Task, TaskParcel

GRACE = Seconds(2.0)
"""That a task has to end in once its worker was told, or has told itself, to stop it."""

_NEVER = Seconds(math.inf)
_STILLBORN_LIMIT = 3
"""Workers that may die before their first sign of life, one after the other, before the manager gives up."""


class Manager:
    """The state; see the module for its rules.

    Args:
        slots: workers to keep.
        pace: how much to hold in advance.
        python: minor version that the workers run.
        where: host, block and image, for messages.
        accelerators: of the node; the first are the workers' own, by their rank.
    """

    def __init__(self, slots: int, pace: Prefetch, python: str, where: str, accelerators: int = 0) -> None:
        self.slots = slots
        self._pace = pace
        self._python = python
        self._where = where
        self._functions: dict[FunctionId, Function] = {}
        self._queue: deque[TaskParcel] = deque()
        self._workers: dict[WorkerRank, Worker] = {}
        self._lending = AcceleratorPool(slots, accelerators)
        self._has_accelerators = accelerators > 0
        self._promised: dict[WorkerRank, TaskParcel] = {}
        """Tasks of workers that are started anew to see other accelerators."""

        self._deadlines: dict[WorkerRank, Seconds] = {}
        self._stillborn = 0
        self._results: list[ResultParcel] = []
        self._is_draining = self._is_ending = False

    @property
    def next_deadline(self) -> Seconds:
        """When to call `ticked`; infinite when no task that runs has a limit."""
        return min(self._deadlines.values(), default=_NEVER)

    @property
    def window(self) -> int:
        """Tasks that this manager wants to hold in all; none before a worker lives."""
        ready = sum(worker.ready for worker in self._workers.values())
        return ready + self._pace.ahead(ready)

    def take_results(self) -> list[ResultParcel]:
        """Results since the last call; they are the caller's now."""
        results, self._results = self._results, []
        return results

    def held(self) -> list[TaskId]:
        """Ids of the tasks that are queued or with a worker."""
        parcels = [
            *self._queue,
            *self._promised.values(),
            *(task for worker in self._workers.values() for task in worker.tasks),
        ]
        return [task.id for task, _ in parcels]

    def running(self, task: TaskId, now: Seconds) -> tuple[WorkerRank, float]:
        """Rank of the worker that runs *task*, and for how many seconds; -1 if none does."""
        for rank, worker in self._workers.items():
            if worker.tasks and worker.tasks[0][0].id == task:
                return rank, now - worker.since
        return WorkerRank(-1), 0.0

    def is_idle(self, rank: WorkerRank) -> bool:
        """Whether this worker has nothing to do."""
        return not self._workers[rank].tasks

    def shown(self, rank: WorkerRank) -> Sequence[int]:
        """Numbers of the accelerators that this worker sees; none where the node has none."""
        return self._lending.shown(rank)

    def started(self) -> list[Action]:
        """The manager begins."""
        return [self._start(rank) for rank in range(self.slots)]  # type: ignore[arg-type]  # ranks are plain numbers

    def drain(self) -> None:
        """Nothing more will be sent."""
        self._is_draining = True

    def end(self) -> None:
        """The manager is to end soon: what was not begun is handed back, also what is on its way here."""
        self._is_draining = self._is_ending = True
        waiting = (*self._queue, *self._promised.values())
        self._results += [own_results.handed_back(task.id, self._where) for task, _ in waiting]
        self._queue.clear()
        self._promised.clear()

    def cut(self) -> None:
        """The workers were ended: hand back what they ran."""
        for worker in self._workers.values():
            self._results += own_results.on_cut_off([task.id for task, _ in worker.tasks], self._where)
            worker.tasks.clear()

    @property
    def is_drained(self) -> bool:
        """Whether it was told to drain, and has given everything back."""
        busy = self._queue or self._promised or self._results or any(worker.tasks for worker in self._workers.values())
        return self._is_draining and not busy

    def work(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> None:
        """The interchange sent tasks. ValueError if it never sent the function of one, which ends the list."""
        for function in functions:
            self._functions[function.id] = function
        if self._is_ending:
            self._results += [own_results.handed_back(task.id, self._where) for task, _ in tasks]
            return
        for parcel in tasks:
            self._admit(parcel)

    def ready(self, rank: WorkerRank) -> None:
        """A worker lives."""
        self._stillborn = 0
        self._workers[rank].ready = True

    def returned(self, rank: WorkerRank, results: Iterable[ResultParcel], now: Seconds) -> None:
        """A worker gave results back, in the order in which it was given the tasks.

        Anything else on its socket is of a process that a task forked, and is dropped.
        """
        worker = self._workers[rank]
        tasks = worker.tasks
        for parcel in results:
            if not tasks or tasks[0][0].id != parcel[0].id:
                continue
            tasks.popleft()
            if parcel[0].kind != ResultKind.CANCELLED:  # one that was stopped says nothing of how long they take
                self._pace.ran(parcel[0].seconds)
            if worker.cancelled:
                worker.cancelled.discard(parcel[0].id)
            self._results.append(parcel)
        self._watch(rank, worker, now)

    def cancelled(self, ids: Collection[int], now: Seconds) -> list[Action]:
        """The interchange wants these stopped. Those that are not here have ended, and were reported."""
        wanted = set(ids)
        dropped = [task.id for task, _ in self._queue if task.id in wanted]
        if dropped:
            self._queue = deque(parcel for parcel in self._queue if parcel[0].id not in wanted)
        promised = [rank for rank, (task, _) in self._promised.items() if task.id in wanted]
        dropped += [self._promised.pop(rank)[0].id for rank in promised]
        self._results += [own_results.cancelled(number) for number in dropped]
        actions: list[Action] = []
        for rank, worker in self._workers.items():
            first = worker.given - len(worker.tasks)
            for number, (task, _) in enumerate(worker.tasks, first):
                if task.id in wanted and task.id not in worker.cancelled:
                    worker.cancelled.add(task.id)
                    actions.append(StopTask(rank, number))
                    if number == first:
                        self._deadlines[rank] = min(Seconds(now + GRACE), self._deadlines.get(rank, _NEVER))
        return actions

    def ticked(self, now: Seconds) -> list[Action]:
        """Time passed: kill workers whose task did not stop."""
        late = [rank for rank, deadline in self._deadlines.items() if deadline <= now]
        for rank in late:
            del self._deadlines[rank]
            self._workers[rank].killed_for = self._workers[rank].tasks[0][0].id
        return [KillWorker(rank) for rank in late]

    def exited(self, rank: WorkerRank, exitcode: int, stderr_tail: str, cause: str = "") -> list[Action]:
        """A worker's process ended; *cause* is what else is known of why. Its slot is filled again."""
        worker = self._workers[rank]
        self._deadlines.pop(rank, None)
        exit_ = Exit(f"{self._where}, worker {rank}", exitcode, stderr_tail, cause, self._is_ending)
        results, again = exit_.fates(worker, lambda function: self._functions[function].name)
        self._results += results
        self._queue.extendleft(reversed(again))
        if self._is_ending:
            self._workers[rank] = Worker()
            return []
        if not worker.ready and not worker.is_restarted:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN_LIMIT:
                return [Quit(f"workers die as they start, exit code {exitcode}: {stderr_tail.strip() or 'no output'}")]
        return [self._start(rank)]

    def dispatch(self, now: Seconds) -> list[Action]:
        """Call it after each round of events. Idle workers first; then, while tasks are short, more for each."""
        actions: list[Action] = []
        for rank in [rank for rank in self._promised if self._workers[rank].ready] if self._promised else ():
            self._write(rank, self._workers[rank], self._promised.pop(rank), actions, now)
        for depth in (1, self._pace.in_pipe()):
            for rank, worker in self._workers.items():
                while self._queue and worker.ready and len(worker.tasks) < depth and worker.killed_for is None:
                    if self._has_accelerators and not self._is_shown_right(rank, worker, self._queue[0][0], actions):
                        break
                    self._write(rank, worker, self._queue.popleft(), actions, now)
        return actions

    def _is_shown_right(self, rank: WorkerRank, worker: Worker, task: Task, actions: list[Action]) -> bool:
        """Whether the worker sees what *task* is to see. If it does not and is idle, it is started anew with the task.

        A library that has looked for its devices once does not look again in the same process.
        """
        needs = task.needs
        if needs is None and self._lending.is_as_usual:
            return True
        busy = {other for other, its in self._workers.items() if its.tasks or other in self._promised}
        number = 1 if needs is None or needs.accelerators < 0 else needs.accelerators
        right = self._lending.for_task(rank, number, busy)
        if right == self._lending.shown(rank):
            return True
        if right is not None and not worker.tasks:
            self._lending.show(rank, right)
            self._promised[rank] = self._queue.popleft()
            worker.ready, worker.is_restarted = False, True
            actions.append(RestartWorker(rank))
        return False

    def _watch(self, rank: WorkerRank, worker: Worker, now: Seconds) -> None:
        """Another task runs in *worker* from now on, or none: until when it may."""
        worker.since = now
        if self._deadlines:
            self._deadlines.pop(rank, None)
        if not worker.tasks or worker.killed_for is not None:
            return
        task = worker.tasks[0][0]
        if task.id in worker.cancelled:
            self._deadlines[rank] = Seconds(now + GRACE)
        elif task.walltime:
            self._deadlines[rank] = Seconds(now + task.walltime + GRACE)

    def _start(self, rank: WorkerRank) -> StartWorker:
        self._workers[rank] = Worker()
        return StartWorker(rank)

    def _admit(self, parcel: TaskParcel) -> None:
        task = parcel[0]
        if task.function not in self._functions:
            raise ValueError(f"task {task.id} is of a function that was not sent")
        function = self._functions[task.function]
        python = task.python or function.python
        if python in {"", self._python}:
            self._queue.append(parcel)
            return
        self._results.append(own_results.refused(task.id, python, self._python, self._where))

    def _write(self, rank: WorkerRank, worker: Worker, parcel: TaskParcel, actions: list[Action], now: Seconds) -> None:
        function: FunctionId = parcel[0].function
        if function not in worker.functions:
            worker.functions.add(function)
            actions.append(GiveFunction(rank, self._functions[function]))
        worker.tasks.append(parcel)
        worker.given += 1
        if len(worker.tasks) == 1:
            self._watch(rank, worker, now)
        actions.append(GiveTask(rank, parcel))
