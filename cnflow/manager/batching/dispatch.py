"""Decides which idle worker runs which batch, and which one loads a model first. No I/O.

::

    idle worker ── a prepared model is missing ──> loads it
            └───── batches and ordinary tasks wait: in turns ── a batch ──> one that has its model, if there is one

A worker runs a batch alone: nothing waits behind it in its pipe, so that each batch is formed when it begins, of all
that has arrived by then.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Optional

from cnflow.manager.actions import (
    Action,
    KillWorker,
    LoadModel,
    RestartWorker,
    SendBatch,
    SendFunction,
    SendTask,
    StopTask,
    UnloadModel,
)
from cnflow.manager.batching.batcher import Batcher
from cnflow.manager.batching.running import RunningBatch
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sized

    from cnflow.ids import FunctionId, TaskId, WorkerRank
    from cnflow.manager.batching.models import PreparedModels
    from cnflow.manager.prefetch import Prefetch
    from cnflow.manager.reservations import Reservations
    from cnflow.manager.workers.table import Workers
    from cnflow.manager.workers.task_deadlines import TaskDeadlines
    from cnflow.manager.workers.worker import Worker
    from cnflow.wire.function_messages import Function
    from cnflow.wire.messages import ResultParcel, TaskParcel

_CALM = 1.0
"""Seconds after the last batch from which on no calls are asked for in advance."""

_NEVER = Seconds(math.inf)


class BatchDispatch:
    """Calls of models that wait, and models that are loaded in advance; the module has a picture.

    Args:
        workers: of the manager.
        reservations: of accelerators.
        deadlines: of what runs.
        models: to load in advance.
        prefetch: decides how much to hold in advance.
    """

    def __init__(
        self,
        workers: Workers,
        reservations: Reservations,
        deadlines: TaskDeadlines,
        models: PreparedModels,
        prefetch: Prefetch,
    ) -> None:
        self.batcher = Batcher()
        self.models = models
        self._workers = workers
        self._reservations = reservations
        self._deadlines = deadlines
        self._prefetch = prefetch
        self._due = self._calm_at = self._load_due = _NEVER
        self._calls_per_batch = 0
        self._is_turn_of_tasks = False

    @property
    def is_active(self) -> bool:
        """True if `load_models` or `send_batches` may have something to do."""
        return bool(self.batcher) or self._calls_per_batch > 0 or bool(self.models) or self._load_due < _NEVER

    @property
    def next_deadline(self) -> Seconds:
        """Time of the next call of `load_models` and `send_batches`; infinite while nothing has to wait."""
        return min(self._due, self._calm_at, self._load_due, self.models.unload_at)

    @property
    def calls(self) -> int:
        """Number of calls that this manager wants to hold: a batch for each worker, and one more in advance."""
        return self._calls_per_batch * self._prefetch.batches() * self._workers.ready

    def load_models(self, functions: dict[FunctionId, Function], actions: list[Action], now: Seconds) -> None:
        """Order idle workers to load the models that they lack, and all to unload those that are not needed."""
        self._load_due = _NEVER
        for model in self.models.take_unloads(now):
            self._unload(model, actions)
        for rank, worker in self._workers.items():
            if worker.loading:
                self._follow_loading(rank, worker, actions, now)
            if not worker.is_ready or worker.tasks or not (missing := self.models.missing(worker)):
                continue
            table = {**functions, **self.models.functions}
            if self._is_restarted(rank, max(_accelerators(table[model]) for model in missing)):
                actions.append(RestartWorker(rank))
                continue
            worker.is_ready = False
            worker.loading = missing
            records, forgets = worker.functions.add({*missing}, table)
            if records:
                actions.append(SendFunction(rank, records, forgets))
            actions += [LoadModel(rank, model) for model in missing]
            self._follow_loading(rank, worker, actions, now)

    def _follow_loading(self, rank: WorkerRank, worker: Worker, actions: list[Action], now: Seconds) -> None:
        due = self.models.follow(worker, now)
        if worker.is_load_late or due > now:
            self._load_due = min(self._load_due, _NEVER if worker.is_load_late else due)
            return
        worker.is_load_late = True
        actions.append(KillWorker(rank))

    def _unload(self, model: FunctionId, actions: list[Action]) -> None:
        for rank, worker in self._workers.items():
            if worker.loaded.pop(model, None) is not None:
                worker.functions.discard(model)
                actions.append(UnloadModel(rank, model))

    def _is_restarted(self, rank: WorkerRank, accelerators: int) -> bool:
        if accelerators < 0 or not self._reservations.has_accelerators:
            return False
        return self._reservations.prepare(rank, self._workers, accelerators) is False

    def send_batches(
        self,
        tasks: Sized,
        functions: dict[FunctionId, Function],
        actions: list[Action],
        now: Seconds,
        *,
        is_last: bool,
    ) -> None:
        """Send batches to idle workers; leave every second one to ordinary *tasks*, if some wait.

        Args:
            tasks: ordinary tasks that wait.
            functions: that the manager has.
            actions: to add to.
            now: the time.
            is_last: no more calls will come.
        """
        self._due = _NEVER
        self._follow_load(now)
        idle = [
            rank
            for rank, worker in self._workers.items()
            if worker.is_ready and not worker.tasks and worker.overdue_task is None
        ]
        left = 0
        while idle and self.batcher:
            if self._is_turn_of_tasks and left < len(tasks):
                self._is_turn_of_tasks = False
                left += 1
                idle.pop()
                continue
            batch = self.batcher.take(now, self._workers.ready, is_last=is_last)
            if batch is None:
                self._due = self.batcher.next_at()
                return
            self._is_turn_of_tasks = True
            if not self._place(batch, idle, functions, actions, now):
                self.batcher.put_back(batch)
                return

    def _place(
        self,
        batch: list[TaskParcel],
        idle: list[WorkerRank],
        functions: dict[FunctionId, Function],
        actions: list[Action],
        now: Seconds,
    ) -> bool:
        """Send *batch* to a worker of *idle*, which is taken from there; return False if none can have it."""
        task = batch[0][0]
        idle.sort(key=lambda rank: task.function not in self._workers[rank].functions.ids)
        for rank in [*idle]:
            if self._reservations.has_accelerators:
                sees = self._reservations.prepare(rank, self._workers, _number_for(batch, functions))
                if sees is None:
                    continue
                if not sees:
                    self._reservations.reserve(rank, batch)
                    actions.append(RestartWorker(rank))
                    idle.remove(rank)
                    return True
            self.send(rank, batch, functions, actions, now)
            idle.remove(rank)
            return True
        return False

    def send(
        self,
        rank: WorkerRank,
        batch: list[TaskParcel],
        functions: dict[FunctionId, Function],
        actions: list[Action],
        now: Seconds,
    ) -> None:
        """Send *batch* to the idle worker of *rank*; a single call as any task."""
        worker, function = self._workers[rank], batch[0][0].function
        is_cold = function not in worker.functions.ids
        if is_cold:
            actions.append(SendFunction(rank, *worker.functions.add({function}, functions)))
        worker.tasks.extend(batch)
        worker.tasks_sent += 1
        worker.batch = RunningBatch(batch, now, is_cold=is_cold)
        self._deadlines.on_first_task(rank, worker, now)
        actions.append(SendTask(rank, batch[0]) if len(batch) == 1 else SendBatch(rank, batch))

    def on_results(
        self, rank: WorkerRank, results: Iterable[ResultParcel], now: Seconds, unix_time: float
    ) -> tuple[list[TaskParcel], list[ResultParcel], list[TaskParcel]]:
        """Accept results of a worker that runs a batch; after the last one it may be given another.

        Returns:
            As `RunningBatch.accept`.
        """
        worker = self._workers[rank]
        batch = worker.batch
        assert batch is not None
        ended, forwarded, again = batch.accept(worker, results)
        for result, _ in forwarded:
            result.ended, result.worker = unix_time, rank
        if not worker.tasks:
            worker.batch = None
            if batch.is_measure:
                self.batcher.on_done(batch.function, batch.rows, now - batch.began)
            self._deadlines.on_first_task(rank, worker, now)
        return ended, forwarded, again

    def cancel(self, rank: WorkerRank, attempts: Mapping[TaskId, int], now: Seconds) -> list[Action]:
        """Cancel those of *attempts* that are in the batch of a worker, and stop that if nobody wants it now.

        While another call is wanted the batch goes on: to stop it would fail that one, or run it twice.
        """
        worker = self._workers[rank]
        tasks = [task for task, _ in worker.tasks]
        new = [task for task in tasks if attempts.get(task.id) == task.attempt and not worker.is_cancelled(task)]
        worker.cancelled.update((task.id, task.attempt) for task in new)
        if not new or not all(map(worker.is_cancelled, tasks)):
            return []
        self._deadlines.on_stop_ordered(rank, now)
        return [StopTask(rank, worker.tasks_sent - 1)]

    def _follow_load(self, now: Seconds) -> None:
        """Ask for calls in advance while some come, until a while after the last one."""
        if self.batcher:
            wanted = _power_of_two(self.batcher.calls_per_batch())
            self._calls_per_batch = max(self._calls_per_batch, wanted)
            self._calm_at = Seconds(now + _CALM)
        elif now >= self._calm_at:
            is_running = any(worker.batch is not None for worker in self._workers.values())
            self._calm_at = Seconds(now + _CALM) if is_running else _NEVER
            self._calls_per_batch = self._calls_per_batch if is_running else 0


def _number_for(batch: list[TaskParcel], functions: dict[FunctionId, Function]) -> Optional[int]:
    """Accelerators that the worker of *batch* should see; None for its own."""
    task = batch[0][0]
    if task.needs is not None:
        return task.needs.accelerators
    number = _accelerators(functions[task.function])
    return None if number < 0 else number


def _accelerators(function: Function) -> int:
    return -1 if function.batching is None else function.batching.accelerators


def _power_of_two(number: int) -> int:
    """Smallest power of two of at least *number*: a window that changes with each call would cost a message each."""
    return 1 << max(number - 1, 0).bit_length()
