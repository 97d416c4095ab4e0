"""The task graph's loop: holds functions, arguments and futures, gives events to `state`, and does what it decides.

There is no thread of the graph's; each event runs in the thread that brings it::

    user's thread            executor's thread         any thread
    add_task / cancel        _on_outcomes              _on_external_done
          │                        │ record: retry_handler, pickling and writing of cached results
          └───────────────┬────────┴─────────────────────────┘
                          v  under the lock
             TaskGraphState.on_...() ──> Actions (ids)
                          │
    Finisher.prepare: pops records of final tasks, stores errors
                          v  the lock is released
                     _carry_out(Effects) ──> settles futures, whose callbacks may call add_task again
                          │                  launches tasks, one batch for each executor
                          └── attempts that ended at once (cached, unfillable) are events again

None of the user's code runs under the lock, and nothing that waits: neither handlers, callbacks, pickling, cache keys
and the writing of checkpoints, nor the start of executors that are made on first use.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import forks, state_log, task_events
from cnflow.dataflow.actions import AttemptEnd, AttemptResult, Effects
from cnflow.dataflow.arguments import keep_result
from cnflow.dataflow.backpressure import PendingLimit
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, NO_OPTIONS, AppOptions, CallOptions
from cnflow.dataflow.dependencies import RESOLVERS
from cnflow.dataflow.external_futures import ExternalFutures, id_of_dependency, is_finished_external
from cnflow.dataflow.failures import Failures
from cnflow.dataflow.finishing import Finisher
from cnflow.dataflow.futures.app_future import AppFuture, result_as_it_is
from cnflow.dataflow.futures.callbacks import CallbackThreads
from cnflow.dataflow.launching import TaskLauncher
from cnflow.dataflow.live_executors import LiveExecutors
from cnflow.dataflow.outcomes import OutcomeRecorder
from cnflow.dataflow.record_maker import RecordMaker
from cnflow.dataflow.references.keeper import ResultKeeper
from cnflow.dataflow.retry import has_failed, state_name_of
from cnflow.dataflow.staging_table import StagingTable
from cnflow.dataflow.state import TaskGraphState
from cnflow.dataflow.task_record import TaskRecord
from cnflow.errors import ExecutorClosedError
from cnflow.ids import RunId, TaskId
from cnflow.model.task import AppFunction, AppKind, Outcome, TaskState, title_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from cnflow.budget.spending import Spending
    from cnflow.config import Config
    from cnflow.dataflow.executor_factory import ExecutorFactory
    from cnflow.dataflow.launching import FirstLookUp, TaskVariables
    from cnflow.dataflow.memo.cache import ResultCache
    from cnflow.dataflow.references.keeper import Recipe
    from cnflow.dataflow.router import RoutableExecutor
    from cnflow.interfaces import Executor
    from cnflow.monitoring.hub import EventHub


class TaskGraph:
    """Takes tasks, launches each when its dependencies are done, and settles their futures. Safe from any thread.

    Args:
        config: settings of the run.
        run_dir: folder of the run's logs and records.
        executors: executors of the run, which `start` starts.
        routes: descriptions of the configured executors for the router; templates for images included.
        factory: makes more executors while the run goes on.
        results: cached results of the run and of loaded checkpoints.
        record_class: class of the tasks' records.
        look_up_first: called with the record of a task with ``cache=True`` before *results* is asked; returns its
            decision, or None to leave that to *results*.
        variables_of: called with the id of each task that a process of a block runs, for its environment variables.
        hub, spending: carries events to sinks, and counts what blocks cost; None: there are no sinks, no costs.
    """

    def __init__(  # noqa: PLR0913 - all parts of a graph, by name
        self,
        *,
        config: Config,
        run_dir: Path,
        executors: Sequence[Executor],
        routes: Sequence[RoutableExecutor],
        factory: ExecutorFactory,
        results: ResultCache,
        record_class: type[TaskRecord] = TaskRecord,
        look_up_first: FirstLookUp | None = None,
        variables_of: TaskVariables | None = None,
        hub: EventHub | None = None,
        spending: Spending | None = None,
    ) -> None:
        self.config, self.run_dir, self.results, self.spending = config, run_dir, results, spending
        self.records: dict[TaskId, TaskRecord] = {}
        """Records of the tasks that are not final."""
        self.finished: dict[TaskId, TaskRecord] = {}
        """Records of final tasks; empty unless the configuration keeps them."""
        self.calls: Counter[str] = Counter()  # by app
        self.first_task = self.next_task = TaskId(0)
        """Ids of the first and the next task; those below the first belong to a driver whose run was taken over."""
        self.run_id = RunId("")
        """Id of the run, set by its maker."""
        self.is_closed = False
        self.hub, self._emit = hub, hub.emit if hub is not None else None
        resolver, self._state = RESOLVERS[config.dependency_resolver], TaskGraphState()
        self.staging = StagingTable(self.records, self._state.state_of, self._emit)
        self._external = ExternalFutures(
            lambda number: self._state.on_submitted(number, (), 0, 0), self._on_external_done
        )
        self.failures, self.callbacks = Failures(self._external), CallbackThreads()
        self._lock, self._cancelled = threading.RLock(), set[TaskId]()
        self.pending_limit = PendingLimit(
            config.max_pending, self._lock, lambda: 0 if self.is_closed else len(self.records) + len(self.callbacks)
        )
        self.keeper = ResultKeeper(self, self._on_attempts_ended)
        parts = (self._on_attempts_ended, self.callbacks, self.keeper)
        self._outcomes = OutcomeRecorder(self.records, results, config.retry_handler, lambda: self.is_closed, *parts)
        reports = (self.pending_limit.exempt(self._on_outcomes), self.staging.on_note)
        self.live = LiveExecutors(executors, routes, factory, *reports, ignore_images=config.ignore_images)
        self.executors: Mapping[str, Executor] = self.live.by_label
        """Live executors by label, the one for join apps included."""

        tables = (self.records, None if config.garbage_collect else self.finished, self._cancelled, self.failures)
        self.finisher = Finisher(*tables, results, self.executors, self.pending_limit)
        self._maker = RecordMaker(config, run_dir, self.executors, resolver, record_class, self._new_future)
        graph = (self.records, self._cancelled, self.executors, resolver)
        self._launcher = TaskLauncher(*graph, results, look_up_first, self.keeper, variables_of)

    # Submission

    def add_task(  # noqa: PLR0913 - all that describes a task
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        call_options: CallOptions = NO_CALL_OPTIONS,
        *,
        executor: str = "",
        after: Sequence[Future[Any]] = (),
    ) -> TaskRecord:
        """Make a task of one call of *app* and return at once. Files among the arguments are not staged here.

        *executor* is the label of the executor that runs it, instead of the router's choice. The task also waits for
        the futures in *after*.

        Raises:
            ConfigurationError: no executor can run it, or the run has ended. Nothing was submitted.
        """
        executor = executor or self.choose_executor(app, options)
        record, dependencies = self._maker.make(
            app, args, kwargs, options, call_options, executor=executor, after=after
        )
        is_reported = False
        if self._emit is not None or state_log.is_enabled():
            is_reported = task_events.report_submitted(self.hub, record, options.image.name)
        self._enter(record.future.tid, record, dependencies, is_reported=is_reported)
        return record

    def _new_future(self, app: AppFunction) -> AppFuture:
        with self._lock:
            task = self.next_task
            self.next_task = TaskId(task + 1)
        return AppFuture(task, app, self)

    def run_again(self, recipe: Recipe) -> AppFuture:
        """Submit the task of *recipe* once more, since its result was lost."""
        record = self._maker.make_again(recipe)
        if self._emit is not None or state_log.is_enabled():
            task_events.report_submitted(self.hub, record, is_launched=False)
        self._enter(record.future.tid, record, recipe.depends)
        return record.future

    def relaunch(self, task: TaskId) -> None:
        """Launch *task*, which is launched and in no executor."""
        self._carry_out(Effects((), [task]))

    def _enter(
        self, task: TaskId, record: TaskRecord, dependencies: Sequence[Future[Any]], *, is_reported: bool = False
    ) -> None:
        """Enter *task* into the state machine, and launch it if it waits for nothing, which may be reported already."""
        if dependencies:
            dependencies = [each for each in dependencies if not is_finished_external(each)]
        try:
            with self._lock:
                self._check_open(record.app)
                self.records[task] = record
                self.calls[record.app.name] += 1
                waits_for: Sequence[TaskId] = ()
                if dependencies:
                    ids = (id_of_dependency(each, self.records, self.failures, self._external) for each in dependencies)
                    waits_for = [number for number in ids if number is not None]
                effects = self.finisher.prepare(self._state.on_submitted(task, waits_for, *record.budgets))
            if dependencies:
                self._external.watch()
            self._carry_out(effects, is_reported=is_reported)
        except BaseException:  # Ctrl-C at any moment: its caller never gets the future, and nobody is to wait for it
            self._withdraw(task, record)
            raise

    def _withdraw(self, task: TaskId, record: TaskRecord) -> None:
        """Cancel *task*, whose call is about to raise, however far it has got."""
        with self._lock:
            is_entered = self.records.get(task) is record
            state = self._state.state_of(task) if is_entered else None
            if state is None:  # it was not entered, or is final, or the state machine was not told of it
                if is_entered:
                    del self.records[task]
                if self._emit is not None and not record.future.done():  # nobody else reports its end
                    self._emit(task_events.event_of(record, TaskState.CANCELLED))
                return
            record.cancelling = True
            self.results.withdraw(task, record)
            effects = self.finisher.prepare(
                self._state.on_attempts_ended([AttemptEnd(task, AttemptResult.CANCELLED)])
                if state is TaskState.LAUNCHED
                else self._state.on_cancelled(task)
            )
        self._carry_out(effects)
        if state is TaskState.LAUNCHED:
            self.executors[record.executor].cancel([task])  # which may have it

    def _check_open(self, app: AppFunction) -> None:
        if self.is_closed:
            raise ExecutorClosedError(f"{app.name} was called after its run had ended. Call cnflow.load() again.")

    # For futures

    def cancel(self, future: AppFuture) -> bool:
        """Cancel the task of *future*; see `AppFuture.cancel`."""
        with self._lock:
            record = self.records.get(future.tid)
            if record is None or record.future is not future:
                return False
            record.cancelling = True
            self._cancelled.add(future.tid)
            if self._is_held_here(future.tid, record):
                actions = self._state.on_attempts_ended([AttemptEnd(future.tid, AttemptResult.CANCELLED)])
            else:
                actions = self._state.on_cancelled(future.tid)
            effects = self.finisher.prepare(actions)
            launched = self._state.is_launched(future.tid)
        self._carry_out(effects)
        if launched:
            self.executors[record.executor].cancel([future.tid])
        return True

    def _is_held_here(self, task: TaskId, record: TaskRecord) -> bool:
        """Return True if launched *task* is in no executor: it waits for an identical call, results or futures."""
        is_here = self.results.withdraw(task, record) or self._outcomes.is_joining(task)
        return is_here or self.keeper.withdraw(task)

    def state_name(self, future: AppFuture) -> str:
        """Return the state of the task of *future*; see `AppFuture.task_status`."""
        with self._lock:
            record = self.records.get(future.tid)
            state = self.state_of(future.tid) if record and record.future is future else None
        return state_name_of(future) if state is None else state.name.lower()

    def record_of(self, future: AppFuture, app: AppFunction) -> TaskRecord:
        """Return the record of the task of *future*, or one without arguments where it is gone."""
        record = self.records.get(future.tid) or self.finished.get(future.tid)
        if record is not None and record.future is future:
            return record
        return self._maker.bare(app, future)

    # For the run

    def counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks in each state."""
        with self._lock:
            return self.staging.counts(self._state.counts())

    def state_of(self, task: TaskId) -> TaskState | None:
        """Return the state of *task*; None once it is final."""
        with self._lock:
            return self.staging.state_of(self.records.get(task), self._state.state_of(task))

    def unfinished_futures(self) -> list[AppFuture]:
        """Return the futures of all tasks that are not done."""
        with self._lock:
            return [record.future for record in self.records.values() if not record.future.done()]

    # Executors

    def start(self) -> None:
        """Start the executors."""
        self.live.start()

    def choose_executor(self, app: AppFunction, options: AppOptions) -> str:
        """Return the label of the executor for the next task of *app*; executors that fit take turns."""
        self._check_open(app)
        return self.live.choose(app, options)

    # End of the run

    def close(self) -> bool:
        """Refuse new tasks; False if the graph is closed already."""
        with self._lock:
            was_closed, self.is_closed = self.is_closed, True
        return not was_closed

    def stop_launched(self) -> None:
        """Have executors stop the launched tasks of a closed graph."""
        self.live.close()
        launched: dict[str, list[TaskId]] = {}
        with self._lock:
            for task, record in self.records.items():
                if self._state.is_launched(task) and record.app.kind is not AppKind.JOIN:
                    launched.setdefault(record.executor, []).append(task)
        for label, tasks in launched.items():
            self.executors[label].cancel(tasks)

    def fail_unfinished(self) -> None:
        """Settle every task that the executors left unfinished with ExecutorClosedError, once these have ended."""
        with self._lock:
            for task in self._state.open_tasks():
                if task >= 0:
                    name = title_of(task, self.records[task].app.name)
                    self.records[task].error = ExecutorClosedError(f"{name} was not run: the run ended first.")
            effects = self.finisher.prepare(self._state.on_run_ended())
        self._carry_out(effects)

    def on_forked(self, parent: int) -> None:
        """Fail the pending futures in a child of process *parent*, which no thread settles."""
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]  # noqa: SLF001 - another thread may have held it
        self.is_closed = True
        forks.abandon_futures(self.records, parent, self.run_dir)

    def _on_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        self._on_attempts_ended(self._outcomes.record(outcomes))

    def _on_attempts_ended(self, ends: Sequence[AttemptEnd]) -> None:
        self.staging.on_attempts_ended(ends)
        with self._lock:
            effects = self.finisher.prepare(self._state.on_attempts_ended(ends))
        self._carry_out(effects)

    def _on_external_done(self, number: TaskId, future: Future[Any]) -> None:
        failed = has_failed(future)
        if failed:
            self._external.set_failed(number, future)
        with self._lock:
            result = AttemptResult.GIVEN_UP if failed else AttemptResult.DONE
            actions = self._state.on_attempts_ended([AttemptEnd(number, result)])
            effects = self.finisher.prepare(actions)
            if not failed:
                self._external.forget(number)
            waiting = self.finisher.waiting_records(actions.waiting.get(number, ()))
        if not failed:
            keep_result(future, result_as_it_is(future), waiting)
        self._carry_out(effects)

    def _carry_out(self, effects: Effects, *, is_reported: bool = False) -> None:
        """Settle final tasks and launch ready ones; a loop, not a recursion, where launches end at once."""
        while effects.settlements or effects.launch:
            if not is_reported and (self._emit is not None or state_log.is_enabled()):
                task_events.report_effects(self.hub, effects, self.records)
            is_reported = False
            self.finisher.settle(effects.settlements)
            if self.is_closed:
                return  # executors have ended or are about to; `fail_unfinished` settles the launched tasks
            ends = self._launcher.launch(effects.launch)
            if not ends:
                return
            with self._lock:
                effects = self.finisher.prepare(self._state.on_attempts_ended(ends))
