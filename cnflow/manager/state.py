"""Takes every decision of a manager.

Rule 1: each decision is taken here; `loop` and `workers/process` only move bytes and start processes.
Rule 2: nothing here waits, reads a clock, logs or touches a socket.

Each event (`on_...`) changes the state; some return actions. After each round of events `dispatch` hands out tasks, and
`take_results` returns the results for the interchange.

Life of a worker, and the place of a task in it::

    starting ──ready──> idle ──task──> busy ──result──> idle
        │                 │              │
        │                 └───exit───────┴──> the worker is started again; the task that ran fails with WORKER_LOST,
        │                                     tasks that only waited in its pipe return to the queue
        └──exit, three times in a row without a worker that becomes ready, or ten times idle without a result: it quits

Life of a task in a manager::

    on_work ──> queue ──dispatch──> pipe of a worker ──> runs ──> result      large arguments: `incomplete_tasks` first
       │          │                    │                   ├── walltime or cancellation: the worker stops it; if no
       │          │                    │                   │   result comes within GRACE, the worker is killed and the
       │          │                    │                   │   task ends as TIMED_OUT or CANCELLED
       │          └──── cancelled ─────┴───────────────────┘
       └── REFUSED: code of another Python

    on_ending: tasks that were not started go back as RETURNED; on_cut: those that run go back as CUT_OFF
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

from cnflow.manager import own_results
from cnflow.manager.actions import (
    Action,
    KillWorker,
    Quit,
    RestartWorker,
    SendFunction,
    SendTask,
    StartWorker,
    StopTask,
)
from cnflow.manager.awaited_parts import AwaitedParts
from cnflow.manager.batching.dispatch import BatchDispatch
from cnflow.manager.batching.models import PreparedModels
from cnflow.manager.blob_cache import BlobCache
from cnflow.manager.ended_tasks import EndedTasks
from cnflow.manager.incomplete_tasks import IncompleteTasks
from cnflow.manager.reservations import Reservations, number_for
from cnflow.manager.workers.exit import Exit
from cnflow.manager.workers.start_attempts import StartAttempts
from cnflow.manager.workers.table import Workers
from cnflow.manager.workers.task_deadlines import TaskDeadlines
from cnflow.manager.workers.worker import Worker
from cnflow.wire.pipe import ResultKind
from cnflow.wire.sent_functions import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import FunctionId, TaskId, WorkerRank
    from cnflow.manager.prefetch import Prefetch
    from cnflow.units import Seconds
    from cnflow.wire.function_messages import Function
    from cnflow.wire.manager_messages import HeldTask
    from cnflow.wire.messages import ResultParcel, TaskParcel

_LEAST_WAITING = 2
"""Tasks that wait for large arguments and do not count as held: tasks behind them run. As many as workers, if more."""


class Manager:
    """The state; see the module for its rules.

    Args:
        slots: number of workers to keep running.
        prefetch: decides how many tasks to hold in advance.
        python: minor version that the workers run, such as ``3.11``.
        where: host, block and image, for messages.
        accelerators: number of them on the node; by default the worker of rank n sees number n.
        incomplete: tasks whose large arguments or items are on their way; they hold no worker.
    """

    def __init__(
        self,
        slots: int,
        prefetch: Prefetch,
        python: str,
        where: str,
        accelerators: int = 0,
        incomplete: Optional[AwaitedParts] = None,
    ) -> None:
        self.slots = slots
        self._incomplete = AwaitedParts(IncompleteTasks(BlobCache(0))) if incomplete is None else incomplete
        self._prefetch = prefetch
        self._python = python
        self._where = where
        self._functions: dict[FunctionId, Function] = {}
        self._queue: deque[TaskParcel] = deque()
        self.workers = self._workers = Workers()
        self._reserved = Reservations(slots, accelerators)
        self._deadlines = TaskDeadlines()
        self.models = PreparedModels(python, where, self._workers)
        self._batches = BatchDispatch(self._workers, self._reserved, self._deadlines, self.models, prefetch)
        self.ended: Optional[EndedTasks] = None  # for another driver; None keeps none
        self._start_attempts = StartAttempts()
        self._results: list[ResultParcel] = []
        self._is_draining = self._is_ending = False

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `on_tick`; infinite while no running task has a limit and every worker has a process."""
        return min(self._start_attempts.next_at, self._deadlines.next_at, self._batches.next_deadline)

    @property
    def window(self) -> int:
        """Number of tasks that this manager asks for in all; 0 before a worker is ready."""
        ready = self._workers.ready
        waiting = min(len(self._incomplete), max(_LEAST_WAITING, ready)) if ready else 0
        return ready + self._prefetch.tasks_ahead(ready) + waiting

    @property
    def calls(self) -> int:
        """Number of calls of models that it asks for, besides other tasks; 0 while none come."""
        return self._batches.calls

    def take_results(self) -> list[ResultParcel]:
        """Remove and return the results that came since the last call."""
        results, self._results = self._results, []
        if results and self._incomplete.has_parts:
            ends = [result for result, _ in results if result.kind != ResultKind.PARTIAL]
            self._incomplete.release([(result.id, result.attempt) for result in ends])
        return results

    def held(self) -> dict[TaskId, int]:
        """Ids and attempts of the tasks that are queued or with a worker, but for those that it is to stop."""
        stopping = self.stopping()
        return {task.id: task.attempt for task, _ in self._parcels() if stopping.get(task.id) != task.attempt}

    def identities(self) -> dict[TaskId, HeldTask]:
        """Content of the tasks of `held`, and of those in `ended`."""
        return (self.ended or EndedTasks()).identities(self._parcels(), self._functions)

    def _parcels(self) -> list[TaskParcel]:
        return [
            *self._incomplete.parcels(),
            *self._workers.parcels(),
            *self._reserved.parcels(),
            *self._batches.batcher.parcels(),
            *self._queue,  # last: it may hold the next attempt of a task that a worker stops
        ]

    def stopping(self) -> dict[TaskId, int]:
        """Ids and attempts of the tasks that workers are to stop."""
        return self._workers.stopping()

    def running(self, rank: WorkerRank) -> Optional[tuple[TaskId, str]]:
        """Id and app of the task that this worker runs; None if it has none."""
        return self._workers[rank].running(self._functions)

    def visible_accelerators(self, rank: WorkerRank) -> Sequence[int]:
        """Numbers of the accelerators that this worker sees; empty where the node has none."""
        return self._reserved.visible(rank)

    def on_start(self) -> list[Action]:
        """Start all workers."""
        return [self._start(rank) for rank in range(self.slots)]  # type: ignore[arg-type]  # ranks are plain numbers

    def on_drain(self) -> None:
        """Finish the tasks that are here; the interchange sends no more."""
        self._is_draining = True

    def on_ending(self) -> None:
        """Return the tasks that were not started, and from now on those that are still on their way here."""
        self._is_draining = self._is_ending = True
        queued = [*(task for task, _ in self._queue), *self._reserved.clear(), *self._batches.batcher.clear()]
        waiting = [*queued, *self._incomplete.clear()]
        self._results += [own_results.return_result(task, self._where) for task in waiting]
        self._queue.clear()

    def on_cut(self) -> None:
        """Return the tasks of all workers, whose processes the caller has ended."""
        for worker in self._workers.values():
            self._results += own_results.cut_off_results(worker, self._where)
            worker.tasks.clear()
        self._deadlines.clear()  # a walltime may pass in this very turn, after the tasks are gone

    @property
    def is_draining(self) -> bool:
        """True once `on_drain` or `on_ending` was called."""
        return self._is_draining

    @property
    def is_drained(self) -> bool:
        """True once `on_drain` was called and every result was taken."""
        if not self._is_draining:
            return False  # asked in each turn of the loop
        waiting = self._queue or self._reserved or self._batches.batcher or len(self._incomplete)
        return not (waiting or self._results or any(worker.tasks for worker in self._workers.values()))

    def on_work(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> None:
        """Queue *tasks*.

        Raises:
            ValueError: the function of a task was never sent; the tasks before it are queued.
        """
        self._functions.update((function.id, function) for function in functions)
        for parcel in tasks:
            if self._is_ending or self._prefetch.is_exhausted:
                self._results.append(own_results.return_result(parcel[0], self._where))
            else:
                self._admit(parcel)

    def forget_functions(self) -> None:
        """Forget the functions of which there is no task; the interchange sends them again with their next task."""
        parcels = [*self._parcels(), *(self.ended.parcels() if self.ended is not None else ())]
        self._functions = kept(self._functions, (task.function for task, _ in parcels))

    def on_blobs(self) -> None:
        """Queue the tasks whose last argument has arrived, before those that came after them; fail the hopeless."""
        tasks: list[TaskParcel] = []
        for parcel in self._incomplete.take_complete():
            if (function := self._functions[parcel[0].function]).batching is None:
                tasks.append(parcel)
            else:
                self._batches.batcher.add(parcel, function)
        self._queue.extendleft(reversed(tasks))
        self._results += [own_results.lost_result(lost, self._where) for lost in self._incomplete.take_lost()]

    def on_worker_ready(self, rank: WorkerRank) -> None:
        """Let the worker receive tasks."""
        self._start_attempts.on_ready(rank)
        self._workers[rank].is_ready = True

    def on_results(
        self, rank: WorkerRank, results: Iterable[ResultParcel], now: Seconds, unix_time: float = 0.0
    ) -> None:
        """Accept results of a worker, in the order in which its tasks were written; *unix_time* is that of their end.

        A result out of this order comes from a process that a task forked, and is dropped.
        """
        worker = self._workers[rank]
        self._start_attempts.died_idle = 0
        if worker.batch is not None:
            ended, forwarded, again = self._batches.on_results(rank, results, now, unix_time)
            if self.ended is not None:
                self.ended.add(*ended)
            self._results += forwarded
            self._run_again(again)
            return
        tasks = worker.tasks
        for parcel in results:
            if not tasks or tasks[0][0].id != parcel[0].id:
                continue
            if self.ended is not None:
                self.ended.add(tasks[0])
            task, result = tasks.popleft()[0], parcel[0]
            result.attempt, result.ended, result.worker = task.attempt, unix_time, rank  # workers know ids only
            if result.kind != ResultKind.CANCELLED:  # the length of a stopped task is no measure
                self._prefetch.record(result.seconds)
            if worker.cancelled:
                worker.cancelled.discard((task.id, task.attempt))
            self._results.append(parcel)
        self._deadlines.on_first_task(rank, worker, now)

    def _run_again(self, calls: list[TaskParcel]) -> None:
        if self._is_ending:
            self._results += [own_results.return_result(task, self._where) for task, _ in calls]
        else:
            self._batches.batcher.split(calls)

    def on_cancel(self, attempts: Mapping[TaskId, int], now: Seconds) -> list[Action]:
        """Stop *attempts* of tasks. One that is not here has ended, and its result was sent."""
        dropped = [task for task, _ in self._queue if attempts.get(task.id) == task.attempt]
        if dropped:
            self._queue = deque(parcel for parcel in self._queue if attempts.get(parcel[0].id) != parcel[0].attempt)
        for waiting in (self._reserved, self._batches.batcher, self._incomplete):
            dropped += waiting.remove(attempts)
        self._results += [own_results.cancel_result(task) for task in dropped]
        actions: list[Action] = []
        for rank, worker in self._workers.items():
            if worker.batch is not None:
                actions += self._batches.cancel(rank, attempts, now)
                continue
            first = worker.tasks_sent - len(worker.tasks)
            for number, (task, _) in enumerate(worker.tasks, first):
                if attempts.get(task.id) == task.attempt and not worker.is_cancelled(task):
                    worker.cancelled.add((task.id, task.attempt))
                    actions.append(StopTask(rank, number))
                    if number == first:
                        self._deadlines.on_stop_ordered(rank, now)
        return actions

    def on_tick(self, now: Seconds) -> list[Action]:
        """Kill the workers whose task did not stop within its grace; start those again that could not be started."""
        late = self._deadlines.take_due(now)
        for rank in late:
            self._workers[rank].overdue_task = self._workers[rank].tasks[0][0]
        again = self._start_attempts.take_due(now)
        starts = [] if self._is_ending else [self._start(rank) for rank in again]
        return [*(KillWorker(rank) for rank in late), *starts]

    def on_start_failed(self, rank: WorkerRank, cause: str, now: Seconds) -> list[Action]:
        """Start a worker again later whose process could not be started; quit if none of them ever can."""
        self._start_attempts.on_failed(rank, now)
        if not self._start_attempts.is_hopeless(self.slots):
            return []
        return [Quit(f"no worker can be started: {cause}. See the limits of processes, memory and open files (ulimit)")]

    def on_worker_exit(self, rank: WorkerRank, exitcode: int, stderr_tail: str, cause: str = "") -> list[Action]:
        """Settle the tasks of a worker whose process ended, and start its successor.

        Args:
            rank: of the worker.
            exitcode: as `subprocess.Popen.returncode`.
            stderr_tail: last lines that it printed.
            cause: explanation from outside the process, such as lack of memory; empty if there is none.
        """
        worker = self._workers[rank]
        self._deadlines.remove(rank)
        exit_ = Exit(f"{self._where}, worker {rank}", exitcode, stderr_tail, cause, self._is_ending)
        results, again = exit_.settle(worker, lambda function: self._functions[function].name)
        self._results += results
        if worker.batch is not None:
            self._run_again(again)
        else:
            self._queue.extendleft(reversed(again))
        if self._is_ending:
            self._workers[rank] = Worker()
            return []
        if worker.loading:
            self.models.on_died(rank, exit_)
        elif not (worker.tasks_sent or worker.is_restarted) and self._start_attempts.on_died(is_ready=worker.is_ready):
            return [Quit(f"workers die as they start, exit code {exitcode}: {stderr_tail.strip() or 'no output'}")]
        return [self._start(rank)]

    def dispatch(self, now: Seconds) -> list[Action]:
        """Hand out queued tasks: one to each idle worker first; then, while tasks are short, more to each."""
        actions: list[Action] = []
        for rank, parcels in self._reserved.take_ready(self._workers) if self._reserved else ():
            self._send_reserved(rank, parcels, actions, now)
        if self._batches.is_active:
            self._batches.load_models(self._functions, actions, now)
            self._batches.send_batches(self._queue, self._functions, actions, now, is_last=self._is_draining)
        # No task in advance while calls of models wait: their batch needs an idle worker.
        for depth in (1, 1 if self._batches.batcher else self._prefetch.pipe_depth()):
            for rank, worker in self._workers.items():
                if worker.batch is not None:
                    continue
                while self._queue and worker.is_ready and len(worker.tasks) < depth and worker.overdue_task is None:
                    if self._reserved.has_accelerators and not self._prepare_accelerators(rank, actions):
                        break
                    self._send(rank, worker, self._queue.popleft(), actions, now)
        return actions

    def _prepare_accelerators(self, rank: WorkerRank, actions: list[Action]) -> bool:
        """Return whether the worker sees those for the first task; if not, and it is idle, reserve and restart it."""
        sees = self._reserved.prepare(rank, self._workers, number_for(self._queue[0][0]))
        if sees is False:
            self._reserved.reserve(rank, [self._queue.popleft()])
            actions.append(RestartWorker(rank))
        return bool(sees)

    def _send_reserved(self, rank: WorkerRank, parcels: list[TaskParcel], actions: list[Action], now: Seconds) -> None:
        if self._functions[parcels[0][0].function].batching is not None:
            self._batches.send(rank, parcels, self._functions, actions, now)
        else:
            self._send(rank, self._workers[rank], parcels[0], actions, now)

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
            self._prefetch.on_taken()
            if (whole := self._incomplete.hold(parcel) if task.blobs or task.items else parcel) is not None:
                if function.batching is None:
                    self._queue.append(whole)
                else:
                    self._batches.batcher.add(whole, function)
            return
        self._results.append(own_results.refusal_result(task, python, self._python, self._where))

    def _send(self, rank: WorkerRank, worker: Worker, parcel: TaskParcel, actions: list[Action], now: Seconds) -> None:
        function: FunctionId = parcel[0].function
        if function not in worker.functions.ids:
            actions.append(SendFunction(rank, *worker.functions.add({function}, self._functions)))
        worker.tasks.append(parcel)
        worker.tasks_sent += 1
        if len(worker.tasks) == 1:
            self._deadlines.on_first_task(rank, worker, now)
        actions.append(SendTask(rank, parcel))
