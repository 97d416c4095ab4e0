"""Holds functions, arguments and futures, asks `machine` what to do, and does it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import join_apps, state_log
from cnflow.dataflow.actions import NOTHING, Settled, Step
from cnflow.dataflow.backpressure import PendingLimit
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, CallOptions, record_call_options, task_to_run
from cnflow.dataflow.dependencies import RESOLVERS
from cnflow.dataflow.external_futures import ExternalFutures
from cnflow.dataflow.failures import Failures
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.memo.cache import CacheDecision, ResultCache
from cnflow.dataflow.records import NO_OPTIONS, AppOptions, TaskRecord
from cnflow.dataflow.retry import has_failed, record_attempt, state_name_of
from cnflow.dataflow.state import Actions, AttemptEnd, AttemptResult, TaskGraphState
from cnflow.errors import ConfigurationError, ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, AppKind, Outcome, TaskState, TaskToRun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.config import Config
    from cnflow.dataflow.executor_factory import ExecutorFactory
    from cnflow.dataflow.router import Router
    from cnflow.interfaces import Executor


class TaskGraph:
    """Takes tasks, launches each when what it waits for is done, settles their futures. `DataFlowKernel` adds the run.

    Args:
        config: what it was made from; a copy.
        run_dir: folder of this run's logs and records.
        executors: started by `start`.
        router: which of them runs a task.
        makers: make more executors while the run goes on.
        results: what is known already.
    """

    record_class: type[TaskRecord] = TaskRecord
    """Of the records; a subclass may have other names for what is in them."""

    def __init__(
        self,
        config: Config,
        run_dir: Path,
        executors: Sequence[Executor],
        router: Router,
        makers: ExecutorFactory,
        results: ResultCache,
    ) -> None:
        self.config = config
        self.run_dir = run_dir
        self._executors: dict[str, Executor] = {executor.label: executor for executor in executors}
        self._router = router
        self._makers = makers
        self._resolver = RESOLVERS[config.dependency_resolver]
        self._machine = TaskGraphState()
        self._records: dict[TaskId, TaskRecord] = {}
        self._finished: dict[TaskId, TaskRecord] = {}
        """Only where the configuration keeps them."""

        self._outside = ExternalFutures(lambda number: self._machine.submitted(number, (), 0, 0), self._outside_done)
        self._lock = threading.RLock()
        self._room = PendingLimit(config.max_pending, self._lock, lambda: 0 if self._closed else len(self._records))
        self._next = 0
        self._cancelled: set[TaskId] = set()
        """Those that are not final yet."""

        self._results = results
        self._failures = Failures(self._outside)
        self._closed = False

    # For apps and their futures

    def enter(  # noqa: PLR0913 - all that there is to say of a task
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        wishes: CallOptions = NO_CALL_OPTIONS,
        *,
        executor: str = "",
        after: Sequence[Future[Any]] = (),
    ) -> TaskRecord:
        """Make a task of one call of *app*; returns at once. Files among its arguments are left as they are.

        *executor* is the label of the one that runs it, where the options are not to say; *after* are also waited for.

        Raises:
            ConfigurationError: no executor can run it, or the run has ended. Nothing was submitted.
        """
        given = (*args, *wishes.inputs, *after) if wishes.inputs or after else args
        dependencies = self._resolver.find(given, kwargs) if given or kwargs else ()
        if dependencies:
            args, kwargs = self._resolver.kept(args), self._resolver.kept(kwargs)
        with self._lock:
            if self._closed:
                raise ExecutorClosedError(f"{app.name} was called after its run had ended. Call cnflow.load() again.")
            executor = executor or self.executor_for(app, options)
            task = TaskId(self._next)
            self._next += 1
            future = AppFuture(task, app, self)
            record = self.record_class(app, args, kwargs, executor, future)
            if dependencies:
                record.depends = dependencies
            if options.cache and self.config.app_cache:
                dependencies = self._to_be_remembered(record, options)
            if wishes is not NO_CALL_OPTIONS:
                record_call_options(
                    wishes, record, self.config.std_autopath, self.run_dir
                )  # the user's std_autopath may raise
            self._records[task] = record
            waits_for: Sequence[TaskId] = ()
            if dependencies:
                waits_for = [number for each in dependencies if (number := self._id_of(each)) is not None]
            retries = self.config.retries if options.retries is None else options.retries
            if state_log.is_wanted():
                state_log.tell(task, app.name, TaskState.WAITING)
            step = self._claimed(self._machine.submitted(task, waits_for, retries))
        self._apply(step)
        return record

    def executor_for(self, app: AppFunction, options: AppOptions) -> str:
        """Label of the executor whose turn it is to run a task of *app*."""
        with self._lock:
            if app.kind is not AppKind.JOIN:
                return self._router.route(options.image, options.executors)
            if join_apps.LABEL not in self._executors:
                self.add_executor(self._makers.joiner())
            return join_apps.LABEL

    def _to_be_remembered(self, record: TaskRecord, options: AppOptions) -> list[Future[Any]]:
        """Mark the task of *record* as one whose result is remembered; what it waits for, its key's image included."""
        record.wants_memo = True
        record.ignored = options.ignore_for_cache
        executor = self._executors[record.executor]
        return [*record.depends, executor.digest] if executor.image else [*record.depends]

    def cancel(self, future: AppFuture) -> bool:
        """See `AppFuture.cancel`."""
        with self._lock:
            record = self._records.get(future.tid)
            if record is None or record.future is not future:
                return False
            record.cancelling = True
            self._cancelled.add(future.tid)
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
        return state_name_of(future) if state is None else state.name.lower()

    def record_of(self, future: AppFuture, app: AppFunction) -> TaskRecord:
        """See `AppFuture.task_record`."""
        known = self._records.get(future.tid) or self._finished.get(future.tid)
        return known if known is not None and known.future is future else self.record_class(app, (), {}, "", future)

    def add_executor(self, executor: Executor) -> None:
        """Start *executor* and let it take tasks."""
        if executor.label in self._executors:
            raise ConfigurationError(f"Two executors are labelled {executor.label!r}; give each its own label.")
        self._executors[executor.label] = executor
        executor.start(self._room.passing(self._report))

    # From executors

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        tries = []
        with self._lock:
            for outcome in outcomes:
                record = self._records.get(outcome.id)
                if record is None:
                    continue
                if record.app.kind is AppKind.JOIN and outcome.error is None:
                    self._join(outcome.id, record, outcome.value)
                else:
                    tries.append(record_attempt(outcome, record, self.config.retry_handler, closed=self._closed))
            step = self._claimed(self._machine.ended(tries))
        self._apply(step)

    def _join(self, task: TaskId, record: TaskRecord, returned: Any) -> None:  # noqa: ANN401 - what the user's function returned
        def report(outcome: Outcome) -> None:
            with self._lock:
                ended = record_attempt(outcome, record, self.config.retry_handler, closed=self._closed)
                step = self._claimed(self._machine.ended([ended]))
            self._apply(step)

        join_apps.when_joined(task, record.app.name, returned, report)

    # Both ways

    def _claimed(self, changes: Actions) -> Step:
        """Take over what *changes* makes final; under the lock, so that nobody sees a failure without its error."""
        launch = changes.launch
        if not changes.final:
            return Step((), launch)
        settled: list[Settled] = []
        for task, state in changes.final:
            if task < 0:
                continue  # not ours: settled by whoever made it
            record = self._records.pop(task)
            if self._cancelled:
                self._cancelled.discard(task)
            if not self.config.garbage_collect:
                self._finished[task] = record
            if state is TaskState.DONE:
                settled.append(Settled(record.future, state, record.value))
            else:
                error = self._failures.add(task, state, record, changes.failed_by.get(task))
                settled.append(Settled(record.future, state, error))
            if record.memo_key is not None:
                launch = [*launch, *self._results.settled(task, record, done=state is TaskState.DONE)]
        self._results.flush()
        self._room.tell()
        return Step(settled, launch)

    def _apply(self, step: Step) -> None:
        """Settle what is final, launch what is ready; repeated where a launch fails at once, never recursive."""
        while step.settled or step.launch:
            if state_log.is_wanted():
                state_log.tell_step(step, self._records)
            for one in step.settled:
                one.settle()
            step = self._launch(step.launch)

    def _launch(self, tasks: Sequence[TaskId]) -> Step:
        """Hand *tasks* to their executors, many at once; what fails or is known without running comes back."""
        if self._closed:
            return NOTHING  # executors have ended or are about to; `cleanup` settles these
        batches: dict[str, list[TaskToRun]] = {}
        tries = [ended for task in tasks if (ended := self._made_ready(task, batches)) is not None]
        for label, batch in batches.items():
            executor = self._executors[label]
            executor.submit(batch)
            if self._cancelled and (late := [ready.id for ready in batch if ready.id in self._cancelled]):
                executor.cancel(late)  # maybe in this moment, when the executor did not know them yet
        if not tries:
            return NOTHING
        with self._lock:
            return self._claimed(self._machine.ended(tries))

    def _made_ready(self, task: TaskId, batches: dict[str, list[TaskToRun]]) -> AttemptEnd | None:
        """Put *task* into its executor's batch; or how it ended without being run."""
        record = self._records.get(task)
        if record is None:
            return None
        if record.fails:
            record.try_id = record.fail_count
        try:
            ready = task_to_run(task, record, self._resolver.fill)
            asked = self._ask_memo(ready, record) if record.wants_memo else CacheDecision.RUN
        except Exception as error:  # noqa: BLE001 - a user's container may refuse its results, an argument its key
            record.error = error
            return AttemptEnd(task, AttemptResult.GIVEN_UP)
        if asked is CacheDecision.RUN:
            batches.setdefault(record.executor, []).append(ready)
        return AttemptEnd(task, AttemptResult.DONE) if asked is CacheDecision.KNOWN else None

    def _ask_memo(self, ready: TaskToRun, record: TaskRecord) -> CacheDecision:
        key = self._results.key_of(ready, self._executors[record.executor], record.ignored)
        with self._lock:
            return self._results.ask(key, ready.id, record)

    def _id_of(self, future: Future[Any]) -> TaskId | None:
        """Id of a dependency; None for one that is done, whoever made it."""
        if isinstance(future, DataFuture):
            future = future.parent
        if isinstance(future, AppFuture):
            record = self._records.get(future.tid)
            if (record.future if record else self._failures.future_of(future.tid)) is future:
                return future.tid
        if future.done() and not has_failed(future):
            return None
        return self._outside.id_of(future)

    def _outside_done(self, number: TaskId, future: Future[Any]) -> None:
        with self._lock:
            verdict = AttemptResult.GIVEN_UP if has_failed(future) else AttemptResult.DONE
            step = self._claimed(self._machine.ended([AttemptEnd(number, verdict)]))
            if verdict is AttemptResult.DONE:
                self._outside.forget(number)
        self._apply(step)
