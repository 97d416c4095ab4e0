"""Holds functions, arguments and futures, asks `machine` what to do, and does it."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import joining
from cnflow.dataflow.data_futures import DataFuture
from cnflow.dataflow.dependencies import futures_in
from cnflow.dataflow.futures import AppFuture
from cnflow.dataflow.known import Answer, KnownResults
from cnflow.dataflow.machine import Changes, Ended, Machine, Verdict
from cnflow.dataflow.outside import OutsideFutures
from cnflow.dataflow.records import NO_OPTIONS, AppOptions, TaskRecord
from cnflow.dataflow.steps import Settled, Step
from cnflow.dataflow.verdicts import error_of, has_failed, verdict_on
from cnflow.dataflow.wished import note, resolved
from cnflow.dataflow.wishes import NO_WISHES, Wishes
from cnflow.errors import ConfigurationError, DependencyError, ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, AppKind, Outcome, TaskState, TaskToRun, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.config import Config
    from cnflow.dataflow.router import Router
    from cnflow.interfaces import Executor


class Kernel:
    """Takes tasks, launches each when what it waits for is done, settles their futures. `DataFlowKernel` adds the run.

    Args:
        config: what it was made from; a copy.
        run_dir: folder of this run's logs and records.
        executors: started by `start`.
        router: which of them runs a task.
        joiner: makes the executor for the functions of join apps, when the first is called.
        results: what is known already.
    """

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        executors: Sequence[Executor],
        router: Router,
        joiner: Callable[[], Executor],
        results: KnownResults,
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self._executors: dict[str, Executor] = {executor.label: executor for executor in executors}
        self._router = router
        self._joiner = joiner
        self._machine = Machine()
        self._records: dict[TaskId, TaskRecord] = {}
        self._outside = OutsideFutures(self._submit_outside, self._outside_done)
        self._lock = threading.RLock()
        self._next = 0
        self._results = results
        self._failed: dict[TaskId, AppFuture] = {}
        self._errors: dict[TaskId, BaseException] = {}
        """Of failed tasks; known from the moment the machine knows, which is before their futures are set."""

        self._closed = False

    # For apps and their futures

    def submit(
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        wishes: Wishes = NO_WISHES,
    ) -> AppFuture:
        """Make a task of one call of *app*; returns at once.

        Raises:
            ConfigurationError: no executor can run it, or the run has ended. Nothing was submitted.
        """
        dependencies = futures_in((args, wishes.inputs) if wishes.inputs else args, kwargs)
        with self._lock:
            if self._closed:
                raise ExecutorClosedError(f"{app.name} was called after its run had ended. Call cnflow.load() again.")
            executor = self._executor_for(app, options)
            task = TaskId(self._next)
            self._next += 1
            future = AppFuture(task, app.name, self)
            record = self._records[task] = TaskRecord(app, args, kwargs, executor, future)
            record.wants_memo = options.cache and self.config.app_cache
            if options.ignore_for_cache:
                record.ignored = options.ignore_for_cache
            if wishes is not NO_WISHES:
                note(wishes, record, self.config.std_autopath, self.run_dir)
            waits_for = [number for each in dependencies if (number := self._id_of(each)) is not None]
            retries = self.config.retries if options.retries is None else options.retries
            step = self._claimed(self._machine.submitted(task, waits_for, retries))
        self._apply(step)
        return future

    def cancel(self, future: AppFuture) -> bool:
        """See `AppFuture.cancel`."""
        with self._lock:
            record = self._records.get(future.tid)
            if record is None or record.future is not future:
                return False
            record.cancelling = True
            step = self._claimed(self._machine.cancelled(future.tid))
            launched = self._machine.is_launched(future.tid)
        self._apply(step)
        if launched:
            self._executors[record.executor].cancel([future.tid])
        return True

    def state_name(self, future: AppFuture) -> str:
        """See `AppFuture.task_status`."""
        with self._lock:
            record = self._records.get(future.tid)
            state = self._machine.state_of(future.tid) if record and record.future is future else None
        if state is not None:
            return state.name.lower()
        if not future.done():
            return "launched"  # final for the machine, about to be settled by another thread
        if future.cancelled():
            return "cancelled"
        error = future.exception()
        return "done" if error is None else "dependency_failed" if isinstance(error, DependencyError) else "failed"

    def add_executor(self, executor: Executor) -> None:
        """Start *executor* and let it take tasks."""
        if executor.label in self._executors:
            raise ConfigurationError(f"Two executors are labelled {executor.label!r}; give each its own label.")
        self._executors[executor.label] = executor
        executor.start(self._report)

    # From executors

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        tries = []
        with self._lock:
            for task, value, error in outcomes:
                record = self._records.get(task)
                if record is None:
                    continue
                if record.app.kind is AppKind.JOIN and error is None:
                    self._join(task, record, value)
                else:
                    tries.append(self._note(task, record, value, error))
            step = self._claimed(self._machine.ended(tries))
        self._apply(step)

    def _join(self, task: TaskId, record: TaskRecord, returned: Any) -> None:  # noqa: ANN401 - what the user's function returned
        def report(outcome: Outcome) -> None:
            with self._lock:
                step = self._claimed(self._machine.ended([self._note(task, record, outcome.value, outcome.error)]))
            self._apply(step)

        joining.when_joined(task, record.app.name, returned, report)

    def _note(self, task: TaskId, record: TaskRecord, value: Any, error: BaseException | None) -> Ended:  # noqa: ANN401 - any result
        if self._closed and isinstance(error, CancelledError) and not record.cancelling:
            error = ExecutorClosedError(f"{title_of(task, record.app.name)} was stopped: the run was ended.")
        record.value, record.error = value, error
        verdict = verdict_on(error, closed=self._closed, cancelling=record.cancelling)
        cost = 1.0
        if error is not None:
            record.fail_history.append(f"{type(error).__name__}: {error}")
            handler = self.config.retry_handler
            if handler is not None and verdict is Verdict.FAILED:
                try:
                    cost = handler(error, record)
                except Exception as broken:  # noqa: BLE001 - a user's handler; its failure is the task's then
                    broken.__cause__ = error
                    record.error, verdict = broken, Verdict.GIVEN_UP
        return Ended(task, verdict, cost)

    # Both ways

    def _claimed(self, changes: Changes) -> Step:
        """Take over what *changes* makes final; under the lock, so that nobody sees a failure without its error."""
        settled: list[Settled] = []
        launch = changes.launch
        for task, state in changes.final:
            if task < 0:
                continue  # not ours: settled by whoever made it
            record = self._records.pop(task)
            if state is TaskState.DONE:
                settled.append(Settled(record.future, state, record.value))
            else:
                error = self._error_of(task, state, record, changes)
                self._failed[task], self._errors[task] = record.future, error
                settled.append(Settled(record.future, state, error))
            if record.memo_key is not None:
                launch = [*launch, *self._results.settled(task, record, done=state is TaskState.DONE)]
        self._results.flush()
        return Step(settled, launch)

    def _error_of(self, task: TaskId, state: TaskState, record: TaskRecord, changes: Changes) -> BaseException:
        if state is TaskState.CANCELLED:
            return CancelledError()
        if state is not TaskState.DEPENDENCY_FAILED:
            assert record.error is not None  # noted before the machine was told
            return record.error
        failed = changes.failed_by[task]
        title = title_of(task, record.app.name)
        if failed < 0:
            return DependencyError(title, "a future from outside", error_of(self._outside.future_of(failed)))
        return DependencyError(title, title_of(failed, self._failed[failed].name), self._errors[failed])

    def _apply(self, step: Step) -> None:
        """Settle what is final, launch what is ready; repeated where a launch fails at once, never recursive."""
        while step.settled or step.launch:
            for one in step.settled:
                one.settle()
            step = self._launch(step.launch)

    def _launch(self, tasks: Sequence[TaskId]) -> Step:
        """Hand *tasks* to their executors, many at once; what fails or is known without running comes back."""
        batches: dict[str, list[TaskToRun]] = {}
        tries: list[Ended] = []
        for task in tasks:
            record = self._records.get(task)
            if record is None:
                continue
            try:
                ready = resolved(task, record)
                asked = self._ask_memo(ready, record) if record.wants_memo else Answer.RUN
            except Exception as error:  # noqa: BLE001 - a user's container may refuse its results, an argument its key
                record.error = error
                tries.append(Ended(task, Verdict.GIVEN_UP))
                continue
            if asked is Answer.KNOWN:
                tries.append(Ended(task, Verdict.DONE))
            elif asked is Answer.RUN:
                batches.setdefault(record.executor, []).append(ready)
        for label, batch in batches.items():
            executor = self._executors[label]
            executor.submit(batch)
            late = [ready.id for ready in batch if (known := self._records.get(ready.id)) and known.cancelling]
            if late:  # cancelled in this moment: the executor may not have known them then
                executor.cancel(late)
        with self._lock:
            return self._claimed(self._machine.ended(tries))

    def _ask_memo(self, ready: TaskToRun, record: TaskRecord) -> Answer:
        image = self._executors[record.executor].image
        key = self._results.key_of(ready, image, record.ignored)
        with self._lock:
            return self._results.ask(key, ready.id, record)

    def _executor_for(self, app: AppFunction, options: AppOptions) -> str:
        if app.kind is not AppKind.JOIN:
            return self._router.route(options.image, options.executors)
        if joining.LABEL not in self._executors:
            self.add_executor(self._joiner())
        return joining.LABEL

    def _id_of(self, future: Future[Any]) -> TaskId | None:
        """Id of a dependency; None for one that is done, whoever made it."""
        if isinstance(future, DataFuture):
            future = future.parent
        if isinstance(future, AppFuture):
            record = self._records.get(future.tid)
            if (record.future if record else self._failed.get(future.tid)) is future:
                return future.tid
        if future.done() and not has_failed(future):
            return None
        return self._outside.id_of(future)

    def _submit_outside(self, number: TaskId) -> None:
        self._machine.submitted(number, (), 0, 0)

    def _outside_done(self, number: TaskId, future: Future[Any]) -> None:
        with self._lock:
            verdict = Verdict.GIVEN_UP if has_failed(future) else Verdict.DONE
            step = self._claimed(self._machine.ended([Ended(number, verdict)]))
        self._apply(step)
