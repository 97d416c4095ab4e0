"""One run, as the user holds it: a task graph with its executors, files, checkpoints and end.

::

    cnflow.load(Config(...))
          │  assemble makes the graph and this object, then start():
          v      executors are started, the control socket is opened, `on_load` callbacks are called
       RUNNING ──submit──> the graph
          │
          │  cleanup(), at the latest when the interpreter exits, which waits for the tasks first (`exit_mode`):
          v      no new tasks; launched tasks are cancelled; executors, their processes and containers end;
        ENDED    unfinished tasks fail with ExecutorClosedError; checkpoints are closed; `on_cleanup` callbacks run;
                 `end_report` tells of tasks that were dropped, and of failures that nobody asked about
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow import exit_calls
from cnflow.control_socket import ControlServer
from cnflow.dataflow import end_report, forks, join_apps, loaded_run, overview
from cnflow.dataflow.backpressure import is_driver_thread
from cnflow.dataflow.call_options import NO_CALL_OPTIONS, NO_OPTIONS
from cnflow.dataflow.control import answer_query
from cnflow.dataflow.explain import explain
from cnflow.dataflow.file_staging import DataManager, holds_files
from cnflow.dataflow.task_table import TaskTable
from cnflow.errors import ConfigurationError, ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.model.task import AppFunction, AppKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future
    from types import TracebackType

    from typing_extensions import Self

    from cnflow.budget.spending import SpendingReport
    from cnflow.config import ExecutorSettings
    from cnflow.dataflow.call_options import AppOptions, CallOptions
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import RunId
    from cnflow.interfaces import Executor
    from cnflow.model.status import ExecutorStatus, StagingTotals
    from cnflow.model.task import TaskState

PATIENCE = 3.0
"""Seconds for callbacks to return where an error or Ctrl-C ends the run."""

_MOMENT = 0.001
"""Seconds between two looks for results that are set at this moment; they are on their way for microseconds."""

_on_load: list[Callable[[DataFlowKernel], None]] = []


def on_load(callback: Callable[[DataFlowKernel], None]) -> None:
    """Have *callback* called with every DataFlowKernel that is loaded from now on."""
    _on_load.append(callback)


class DataFlowKernel:
    """One run: made by `cnflow.load`, ended by `cleanup`.

    As a context manager it ends by ``Config(exit_mode=...)``: it waits for all tasks, or, when the block raised, ends
    at once; either way nothing that it started is left.

    Args:
        graph: tasks of the run; not started.

    Attributes:
        config: copy of the configuration of the run.
        run_dir: folder of the run's logs and records.
        emit: takes events for the sinks of the run; None where it has none.
    """

    def __init__(self, *, graph: TaskGraph) -> None:
        self.config = graph.config
        self.run_dir = graph.run_dir
        self._graph, self.emit = graph, graph.hub.emit if graph.hub is not None else None
        self._data = DataManager(self, graph)
        self._tasks = TaskTable(graph.records, graph.finished)
        self._pending_limit = graph.pending_limit
        if self._pending_limit.limit is not None:
            graph.callbacks.on_called = self._pending_limit.on_callback_returned
        self._at_cleanup: list[Callable[[], None]] = []
        self._ending_thread = 0
        self._ended = threading.Event()
        self._pid = os.getpid()
        self.answers: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {}
        """Answers of others to questions over the control socket, by what they ask."""

        self._why = "cleanup() was called"
        self._is_patient = True
        """The end waits for callbacks as long as they take; False where an error or Ctrl-C brought it."""

        self._has_script_ended = False
        """The script has ended, and its tasks are awaited."""

        forks.watch(self)

    # Tasks

    def submit(
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        call_options: CallOptions = NO_CALL_OPTIONS,
    ) -> AppFuture:
        """Make a task of one call of *app* and stage its files.

        Returns at once, or, with ``Config(max_pending=...)``, once fewer tasks than that are unfinished.

        Raises:
            ConfigurationError: no executor can run it or move its files, or the run has ended. It was not submitted.
        """
        if self._has_script_ended and threading.current_thread().daemon and not is_driver_thread():
            raise ExecutorClosedError(  # Python waits for no daemon thread, and one that submits for ever has no end
                f"{app.name} was called by a daemon thread after the script had ended. Join the thread in the script, "
                "or make it with daemon=False: its tasks are then awaited."
            )
        if self._pending_limit.limit is not None:
            self._pending_limit.wait()
        if app.kind is AppKind.BASH and self.config.bash_pipefail and call_options.pipefail is None:
            call_options = call_options._replace(pipefail=True)
        if call_options is not NO_CALL_OPTIONS or holds_files(args, kwargs):
            return self._data.submit_with_files(app, args, kwargs, options, call_options)
        return self._graph.add_task(app, args, kwargs, options).future

    @property
    def run_id(self) -> RunId:
        """Id of the run, unique among all runs, as in the database of monitoring."""
        return self._graph.run_id

    @property
    def task_count(self) -> int:
        """Number of tasks submitted so far."""
        return self._graph.next_task - self._graph.first_task

    @property
    def tasks(self) -> Mapping[TaskId, TaskRecord]:
        """Records of the tasks that are not final, by id; with ``Config(garbage_collect=False)`` of all."""
        return self._tasks

    def has_task(self, task: int) -> bool:
        """Return whether a task of this id was submitted."""
        return self._graph.first_task <= task < self._graph.next_task

    def task_counts(self) -> Mapping[TaskState, int]:
        """Return the number of tasks in each state. Safe from any thread."""
        return self._graph.counts()

    def app_counts(self) -> Mapping[str, Mapping[TaskState, int]]:
        """Return the number of tasks in each state by the name of their app. Safe from any thread."""
        return overview.app_counts(self._graph)

    def staging_totals(self) -> StagingTotals:
        """Return how many files are on their way, and how fast. Safe from any thread."""
        return self._graph.staging.totals()

    def explain(self, task: int) -> str:
        """Return lines for people that explain why *task*, an id, has no result yet. Safe from any thread."""
        return "\n".join(explain(TaskId(task), self._graph))

    def wait_for_current_tasks(self) -> None:
        """Return when every task submitted until now is final; raises nothing for tasks that failed."""
        concurrent.futures.wait(self._unfinished())

    def _unfinished(self) -> list[Future[Any]]:
        return [*self._graph.unfinished_futures(), *self._data.staged_out.copy()]

    # Executors

    @property
    def executors(self) -> Mapping[str, Executor]:
        """Live executors by label, those made for an image included."""
        return {label: executor for label, executor in list(self._graph.executors.items()) if label != join_apps.LABEL}

    def executor_of(self, app: AppFunction, options: AppOptions = NO_OPTIONS) -> Executor:
        """Return the executor for the next task of *app*; executors that fit take turns.

        Raises:
            ConfigurationError: no executor can run it, or the run has ended.
        """
        return self._graph.executors[self._graph.choose_executor(app, options)]

    @property
    def staging_retries(self) -> int:
        """Implements `cnflow.interfaces.staging.StagingRun.staging_retries`."""
        return self.config.retries if self.config.staging_retries is None else self.config.staging_retries

    def add_executors(self, executors: Iterable[ExecutorSettings]) -> None:
        """Start *executors*, settings as in a `cnflow.Config`, and let them take tasks from now on.

        Raises:
            ConfigurationError: a label is taken, or one of them cannot work; those before it were added.
            ExecutorClosedError: the run has ended.
        """
        for settings in executors:
            self._graph.live.add(settings)

    def executor_for(self, options: AppOptions) -> Executor:
        """Return the executor for tasks with *options*, which is made and started if it must be.

        Raises:
            ConfigurationError: there is none that can run them.
        """
        app = AppFunction(len, AppKind.PYTHON)
        return self._graph.executors[self._graph.choose_executor(app, options)]

    def executor_status(self) -> list[ExecutorStatus]:
        """Return the status of each executor. Safe from any thread."""
        return [executor.status() for executor in self.executors.values()]

    def spending(self) -> SpendingReport | None:
        """Return what the run has spent on blocks, by estimated prices; None where nothing costs anything."""
        spending = self._graph.spending
        return None if spending is None else spending.report()

    # Life

    def start(self) -> None:
        """Start the executors, open the control socket and call the `on_load` callbacks."""
        if self._graph.hub is not None:
            self._graph.hub.start()
        self._graph.start()
        server = ControlServer(Path(self.run_dir), lambda query: answer_query(self, query, self._graph))
        self.on_cleanup(server.close)
        server.open()
        for callback in _on_load:
            callback(self)

    def checkpoint(self) -> str:
        """Write the results of apps with ``cache=True`` that are new since the last time.

        Returns:
            The folder that holds the checkpoint; a later run loads it by ``Config(checkpoint_files=[...])``.

        Raises:
            ConfigurationError: the run has ended.
        """
        if self.cleanup_called:
            raise ExecutorClosedError(
                "The run has ended; it wrote its last checkpoint then, if it has a checkpoint_mode."
            )
        folder = self._graph.results.checkpoint()
        if folder is None:
            raise ConfigurationError(
                "This run writes no checkpoints: set Config(checkpoint_mode='manual'), or another."
            )
        return str(folder)

    @property
    def cleanup_called(self) -> bool:
        """True once `cleanup` was called."""
        return self._graph.is_closed

    def on_forked(self) -> None:
        """Refuse tasks and fail the pending futures: this is a child that the driver has just forked."""
        self.submit = functools.partial(forks.refuse, self._pid, self.run_dir)  # type: ignore[method-assign]
        loaded_run.on_forked(self, self._pid)
        self._graph.on_forked(self._pid)

    def cleanup(self) -> None:
        """End the run: executors, their processes and containers; unfinished tasks fail with ExecutorClosedError.

        A second call returns when the first is done; at once in a thread of the run's own, as in a future's callback.
        """
        if os.getpid() != self._pid:
            return  # in a child that the driver forked, everything belongs to the parent
        if not self._graph.close():
            self._wait_for_end()
            return
        with contextlib.ExitStack() as stack:  # Ctrl-C in one step, or in a callback, leaves out none of the others
            self._ending_thread = threading.get_ident()
            stack.callback(self._ended.set)
            stack.callback(self._finish)
            stack.callback(self._shut_down)
            self._graph.stop_launched()

    def _wait_for_end(self) -> None:
        """Wait until the thread that ends the run is done, unless that thread may wait for this one.

        It does so for threads that run tasks or report outcomes, in which a future's callback may call `cleanup`.
        """
        if self._ending_thread != threading.get_ident() and not is_driver_thread():
            self._ended.wait()

    def _shut_down(self) -> None:
        with contextlib.ExitStack() as stack:  # an executor whose shutdown raises does not keep the others from ending
            for executor in self._graph.executors.values():
                stack.callback(executor.shutdown)

    def _finish(self) -> None:
        graph = self._graph
        with contextlib.ExitStack() as stack:  # Ctrl-C may end the wait for callbacks
            for callback in reversed(self._at_cleanup):
                stack.callback(callback)
            if graph.hub is not None:
                stack.callback(graph.hub.close)
            if graph.spending is not None:
                stack.callback(graph.spending.close)
            stack.callback(graph.results.close)
            stack.callback(self._report_end)
            stack.callback(graph.callbacks.close)
            graph.fail_unfinished()  # in which callbacks may be called
            graph.callbacks.drain(None if self._is_patient else PATIENCE)

    def _report_end(self) -> None:
        graph = self._graph
        lines = end_report.lines_on(graph.failures.all(), self.task_count, self._why)
        end_report.write([*lines, *end_report.lines_on_callbacks(graph.callbacks.number_of_others())])

    def on_cleanup(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the run has ended."""
        self._at_cleanup.append(callback)

    def __repr__(self) -> str:
        return f"<DataFlowKernel: {self._overview().title()}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ANN401, FBT001 - IPython's
        printer.text(repr(self) if cycle else self._overview().as_text())

    def _repr_html_(self) -> str:
        return self._overview().as_html()

    def _overview(self) -> overview.Overview:
        counts, spending = (self.task_counts(), self.app_counts(), self.executor_status()), self.spending()
        words = "" if spending is None else spending.line
        return overview.Overview(Path(self.run_dir), self.cleanup_called, *counts, words)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode = self.config.exit_mode
        if mode == "skip" or os.getpid() != self._pid:
            return
        try:
            if kind is not None:
                self._why, self._is_patient = f"its block raised {kind.__name__}", False
            elif mode == "cleanup":
                self._why = "exit_mode='cleanup'"
            else:
                self._wait_for_all()
        finally:
            self.cleanup()

    def _wait_for_all(self) -> None:
        try:
            while not self._is_idle():
                concurrent.futures.wait(self._unfinished())
        except BaseException:
            self._why, self._is_patient = "its end was interrupted", False
            raise

    def _is_idle(self) -> bool:
        """Return True if no task is unfinished, and no callback left that may submit others; waits for callbacks."""
        graph, last = self._graph, self._graph.next_task
        # Each is looked at before what follows from it: tasks, their settlement, callbacks, tasks that those submit.
        if self._unfinished():
            return False
        if graph.finisher.is_settling():
            time.sleep(_MOMENT)
            return False
        return not graph.callbacks.drain() and graph.next_task == last

    # End of a script that did not end its run

    def wait_at_exit(self) -> None:
        """Wait for all tasks, as ``with`` does, unless an error ended the script, or its `exit_mode` is another."""
        error, mode = exit_calls.error_of_script(), self.config.exit_mode
        if error is not None:
            self._why, self._is_patient = f"the script raised {type(error).__name__}", False
        elif mode != "wait" and "exit_mode" in self.config.model_fields_set:
            self._why = f"the script ended, and exit_mode={mode!r}"
        elif not exit_calls.is_interrupted():
            self._has_script_ended = True
            self._wait_for_all()

    def end_at_exit(self) -> None:
        """Wait for the tasks that other threads have submitted meanwhile, and end the run."""
        try:
            self.wait_at_exit()
        finally:
            self.cleanup()
