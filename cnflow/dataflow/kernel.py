"""The DataFlowKernel: holds functions, arguments and futures, asks `machine` what to do, and does it."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.dependencies import futures_in, with_results
from cnflow.dataflow.futures import AppFuture
from cnflow.dataflow.machine import Changes, Machine, Verdict
from cnflow.dataflow.memo import Memo, key_of
from cnflow.dataflow.verdicts import has_failed, verdict_on
from cnflow.errors import CnflowError, DependencyError, ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, Outcome, TaskState, TaskToRun, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from cnflow.config import Config
    from cnflow.dataflow.router import Router
    from cnflow.interfaces import Executor
    from cnflow.model.status import ExecutorStatus

logger = logging.getLogger(__name__)

_on_load: list[Callable[[DataFlowKernel], None]] = []


def on_load(callback: Callable[[DataFlowKernel], None]) -> None:
    """Have *callback* called with every DataFlowKernel that is loaded from now on."""
    _on_load.append(callback)


class _Record:
    """A task that is not final: what it takes to launch it, and who waits for it."""

    __slots__ = ("app", "args", "error", "executor", "future", "kwargs", "memo_key", "value")

    def __init__(
        self, app: AppFunction, args: tuple[Any, ...], kwargs: dict[str, Any], executor: str, future: AppFuture
    ) -> None:
        self.app = app
        self.args = args
        self.kwargs = kwargs
        self.executor = executor
        self.future = future
        self.value: Any = None
        self.error: BaseException | None = None
        self.memo_key: bytes | None = None


class DataFlowKernel:
    """One run: takes tasks, launches each when what it waits for is done, settles their futures.

    Made by `cnflow.load`. As a context manager it waits for all tasks at the end, or, when the block raised, ends at
    once; either way nothing that it started is left.

    Attributes:
        config: what it was made from; a copy.
        run_dir: folder of this run's logs and records.
    """

    def __init__(self, config: Config, run_dir: Path, executors: Sequence[Executor], router: Router) -> None:
        self.config = config
        self.run_dir = run_dir
        self._executors: dict[str, Executor] = {executor.label: executor for executor in executors}
        self._router = router
        self._machine = Machine()
        self._records: dict[TaskId, _Record] = {}
        self._outside: dict[int, TaskId] = {}
        """Futures that are not this kernel's -> the ids, below zero, under which the machine knows them."""

        self._lock = threading.RLock()
        self._next = 0
        self._memo = Memo()
        self._failed_futures: dict[TaskId, AppFuture | Future[Any]] = {}
        self._at_cleanup: list[Callable[[], None]] = []
        self._closed = False

    # For users

    @property
    def task_count(self) -> int:
        """Tasks submitted so far."""
        return self._next

    def task_counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state. Safe from any thread."""
        with self._lock:
            return self._machine.counts()

    def executor_status(self) -> list[ExecutorStatus]:
        """How each executor is doing. Safe from any thread."""
        return [executor.status() for executor in list(self._executors.values())]

    def wait_for_current_tasks(self) -> None:
        """Return when every task known now is final; raises nothing for those that failed."""
        with self._lock:
            waiting = [record.future for record in self._records.values()]
        concurrent.futures.wait(waiting)

    def cleanup(self) -> None:
        """End the run: executors, their processes and containers; unfinished tasks fail with ExecutorClosedError."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for executor in list(self._executors.values()):
            executor.shutdown()
        with self._lock:
            changes = self._machine.abandoned()
        for task, _ in changes.final:
            if task >= 0:
                record = self._records[task]
                name = title_of(task, record.app.name)
                record.error = ExecutorClosedError(f"{name} was not run: the run was ended before.")
        self._apply(changes)
        for callback in self._at_cleanup:
            callback()

    def on_cleanup(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the run has ended."""
        self._at_cleanup.append(callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait_for_current_tasks()
        finally:
            self.cleanup()

    # For apps

    def submit(
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        executors: str | Sequence[str] = "all",
        image: str = "",
        cache: bool = False,
    ) -> AppFuture:
        """Make a task of one call of *app*; returns at once.

        Raises:
            ConfigurationError: no executor can run it, or the run has ended. Nothing was submitted.
        """
        if self._closed:
            raise ExecutorClosedError(f"{app.name} was called after its run had ended. Call cnflow.load() again.")
        dependencies = futures_in(args, kwargs)
        with self._lock:
            executor = self._router.route(image, executors)
            task = TaskId(self._next)
            self._next += 1
            future = AppFuture(task, app.name)
            record = _Record(app, args, kwargs, executor, future)
            self._records[task] = record
            if cache:
                record.memo_key = b""
            waits_for = [number for each in dependencies if (number := self._id_of(each)) is not None]
            changes = self._machine.submitted(task, waits_for, self.config.retries)
        self._apply(changes)
        return future

    def add_executor(self, executor: Executor) -> None:
        """Start *executor* and let it take tasks."""
        self._executors[executor.label] = executor
        executor.start(self._report)

    def start(self) -> None:
        """Start the executors and tell whoever asked by `on_load`."""
        for executor in list(self._executors.values()):
            executor.start(self._report)
        for callback in _on_load:
            callback(self)

    # From executors

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        verdicts = []
        with self._lock:
            for task, value, error in outcomes:
                record = self._records.get(task)
                if record is None:
                    continue
                record.value, record.error = value, error
                verdicts.append((task, verdict_on(error, closed=self._closed)))
            changes = self._machine.ended(verdicts)
        self._apply(changes)

    # Both ways

    def _apply(self, changes: Changes) -> None:
        """Settle what is final, launch what is ready; repeated where a launch fails at once, never recursive."""
        while changes.final or changes.launch:
            self._settle(changes)
            changes = self._launch(changes.launch)

    def _settle(self, changes: Changes) -> None:
        for task, state in changes.final:
            if task < 0:
                continue  # not ours: settled by whoever made it
            with self._lock:
                record = self._records.pop(task)
                if record.memo_key and state is TaskState.DONE:
                    self._memo.keep(record.memo_key, record.value)
                if state is not TaskState.DONE:
                    self._failed_futures[task] = record.future
            if state is TaskState.DONE:
                record.future.set_result(record.value)
                continue
            error = record.error
            if state is TaskState.DEPENDENCY_FAILED:
                error = self._dependency_error(task, record, changes.failed_by[task])
            record.future.set_exception(error)

    def _dependency_error(self, task: TaskId, record: _Record, failed: TaskId) -> DependencyError:
        future = self._failed_futures[failed]
        cause = concurrent.futures.CancelledError() if future.cancelled() else future.exception()
        assert cause is not None  # it is in the table of those that failed
        name = title_of(failed, future.name) if isinstance(future, AppFuture) else "a future from outside"
        return DependencyError(title_of(task, record.app.name), name, cause)

    def _launch(self, tasks: Sequence[TaskId]) -> Changes:
        """Hand *tasks* to their executors, many at once; what fails or is known without running comes back."""
        batches: dict[str, list[TaskToRun]] = {}
        verdicts: list[tuple[TaskId, Verdict]] = []
        for task in tasks:
            record = self._records.get(task)
            if record is None:
                continue
            try:
                ready = self._resolved(task, record)
            except CnflowError as error:
                record.error = error
                verdicts.append((task, Verdict.FAILED))
                continue
            if ready is None:
                verdicts.append((task, Verdict.DONE))
            else:
                batches.setdefault(record.executor, []).append(ready)
        for label, batch in batches.items():
            self._executors[label].submit(batch)
        with self._lock:
            return self._machine.ended(verdicts)

    def _resolved(self, task: TaskId, record: _Record) -> TaskToRun | None:
        """The task with results in place of futures; None if its result is remembered, and is in the record."""
        args, kwargs = with_results(record.args), with_results(record.kwargs)
        ready = TaskToRun(task, record.app, args, kwargs)
        if record.memo_key is not None:
            record.memo_key = key_of(ready, self._executors[record.executor].image)
            with self._lock:
                found, record.value = self._memo.find(record.memo_key)
            if found:
                record.memo_key = None
                return None
        return ready

    def _id_of(self, future: Future[Any]) -> TaskId | None:
        """Id of a dependency; None for one that is done, whoever made it.

        A future from elsewhere gets an id below zero, and reports to the machine when it is done.
        """
        if isinstance(future, AppFuture):
            record = self._records.get(future.tid)
            if (record.future if record else self._failed_futures.get(future.tid)) is future:
                return future.tid
        if future.done() and not has_failed(future):
            return None
        if id(future) not in self._outside:
            number = self._outside[id(future)] = TaskId(-1 - len(self._outside))
            self._failed_futures[number] = future  # also keeps it alive, so that its id() stays its own
            self._machine.submitted(number, (), 0, 0)
            future.add_done_callback(lambda done: self._outside_done(number, done))
        return self._outside[id(future)]

    def _outside_done(self, number: TaskId, future: Future[Any]) -> None:
        with self._lock:
            changes = self._machine.ended([(number, Verdict.GIVEN_UP if has_failed(future) else Verdict.DONE)])
        self._apply(changes)
