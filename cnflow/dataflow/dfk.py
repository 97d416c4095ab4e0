"""One run, as the user holds it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.control_socket import ControlServer
from cnflow.dataflow import join_apps
from cnflow.dataflow.call_options import NO_CALL_OPTIONS
from cnflow.dataflow.control import answer
from cnflow.dataflow.explain import Known, explain
from cnflow.dataflow.file_staging import DataManager, holds_files
from cnflow.dataflow.loop import TaskGraph
from cnflow.dataflow.records import NO_OPTIONS
from cnflow.dataflow.task_table import TaskTable
from cnflow.errors import ConfigurationError, ExecutorClosedError
from cnflow.ids import TaskId
from cnflow.model.task import AppKind, TaskState, title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from cnflow.config import ExecutorSettings
    from cnflow.dataflow.call_options import CallOptions
    from cnflow.dataflow.futures.app_future import AppFuture
    from cnflow.dataflow.records import AppOptions, TaskRecord
    from cnflow.interfaces import Executor
    from cnflow.model.status import ExecutorStatus
    from cnflow.model.task import AppFunction

_on_load: list[Callable[[DataFlowKernel], None]] = []


def on_load(callback: Callable[[DataFlowKernel], None]) -> None:
    """Have *callback* called with every DataFlowKernel that is loaded from now on."""
    _on_load.append(callback)


class DataFlowKernel(TaskGraph):
    """One run: made by `cnflow.load`, ended by `cleanup`.

    As a context manager it ends as ``Config(exit_mode=...)`` says: it waits for all tasks, or, when the block raised,
    ends at once; either way nothing that it started is left.

    Attributes:
        config: what it was made from; a copy.
        run_dir: folder of this run's logs and records.
    """

    def __init__(self, *parts: Any) -> None:  # noqa: ANN401 - those of Kernel
        super().__init__(*parts)
        self._at_cleanup: list[Callable[[], None]] = []
        self._pid = os.getpid()
        self._data = DataManager(self, self._executors, self.run_dir)
        self._tasks = TaskTable(self._records, self._finished)

    def submit(
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: AppOptions = NO_OPTIONS,
        wishes: CallOptions = NO_CALL_OPTIONS,
    ) -> AppFuture:
        """Make a task of one call of *app*, whose files are staged; returns at once, or as `Config.max_pending` says.

        Raises:
            ConfigurationError: no executor can run it or move its files, or the run has ended. It was not submitted.
        """
        if self._room.limit is not None:
            self._room.wait()
        if wishes is not NO_CALL_OPTIONS or holds_files(args, kwargs):
            return self._data.run(app, args, kwargs, options, wishes)
        return self.enter(app, args, kwargs, options).future

    @property
    def task_count(self) -> int:
        """Tasks submitted so far."""
        return self._next

    @property
    def tasks(self) -> Mapping[TaskId, TaskRecord]:
        """Records of the tasks that are not final, by id; with ``Config(garbage_collect=False)`` of all."""
        return self._tasks

    @property
    def executors(self) -> Mapping[str, Executor]:
        """The live executors by label, those made for an image included."""
        return {label: executor for label, executor in list(self._executors.items()) if label != join_apps.LABEL}

    @property
    def cleanup_called(self) -> bool:
        """Whether the run is ended, or being ended."""
        return self._closed

    def add_executors(self, executors: Iterable[ExecutorSettings]) -> None:
        """Start *executors*, settings as in a `cnflow.Config`, and let them take tasks from now on.

        Raises:
            ConfigurationError: a label is taken, or one of them cannot work; those before it were added.
            ExecutorClosedError: the run has ended.
        """
        for settings in executors:
            with self._lock:
                if self._closed:
                    raise ExecutorClosedError(
                        f"The executor {settings.label!r} was added after its run had ended. Call cnflow.load() again.",
                    )
                if settings.label in self._router.places or settings.label in self._executors:
                    raise ConfigurationError(
                        f"Two executors are labelled {settings.label!r}; give each its own label.",
                    )
                self._router.add(self._makers.add(settings))

    def task_counts(self) -> Mapping[TaskState, int]:
        """How many tasks are in each state. Safe from any thread."""
        with self._lock:
            return self._machine.counts()

    def executor_status(self) -> list[ExecutorStatus]:
        """How each executor is doing. Safe from any thread."""
        return [executor.status() for executor in self.executors.values()]

    def explain(self, task: int) -> str:
        """Why the task of that number has no result yet: lines for people. Safe from any thread."""

        def state(number: TaskId) -> TaskState | None:
            with self._lock:
                return self._machine.state_of(number)

        known = Known(self._next, self._records, state, self._failures.future_of, self._executors)
        return "\n".join(explain(TaskId(task), known))

    def wait_for_current_tasks(self) -> None:
        """Return when every task known now is final; raises nothing for those that failed."""
        concurrent.futures.wait(self._unfinished())

    def _unfinished(self) -> list[AppFuture]:
        with self._lock:
            return [record.future for record in self._records.values() if not record.future.done()]

    def cleanup(self) -> None:
        """End the run: executors, their processes and containers; unfinished tasks fail with ExecutorClosedError."""
        if os.getpid() != self._pid:
            return  # a child that the driver forked has nothing of its own to end
        with self._lock:
            if self._closed:
                return
            self._closed = True
            running = self._launched()
        for label, tasks in running.items():
            self._executors[label].cancel(tasks)
        with contextlib.ExitStack() as each:  # one that fails does not keep the others from being ended
            each.callback(self._end)
            for executor in self._executors.values():
                each.callback(executor.shutdown)

    def _launched(self) -> dict[str, list[TaskId]]:
        """Tasks that executors have, by executor."""
        found: dict[str, list[TaskId]] = {}
        for task, record in self._records.items():
            if self._machine.is_launched(task) and record.app.kind is not AppKind.JOIN:
                found.setdefault(record.executor, []).append(task)
        return found

    def _end(self) -> None:
        with self._lock:
            for task in self._machine.open_tasks():
                if task >= 0:
                    name = title_of(task, self._records[task].app.name)
                    self._records[task].error = ExecutorClosedError(f"{name} was not run: the run was ended before.")
            step = self._claimed(self._machine.abandoned())
        self._apply(step)
        self._results.close()
        for callback in self._at_cleanup:
            callback()

    def checkpoint(self) -> str:
        """Write the results of apps with ``cache=True`` that are new since the last time.

        Returns:
            The folder that holds the checkpoint; a later run loads it by ``Config(checkpoint_files=[...])``.

        Raises:
            ConfigurationError: this run writes no checkpoints, or has ended.
        """
        if self._closed:
            raise ExecutorClosedError("The run has ended, and wrote its checkpoint then, if it had a mode.")
        folder = self._results.checkpoint()
        if folder is None:
            raise ConfigurationError(
                "This run writes no checkpoints: set Config(checkpoint_mode='manual'), or another."
            )
        return str(folder)

    def on_cleanup(self, callback: Callable[[], None]) -> None:
        """Have *callback* called when the run has ended."""
        self._at_cleanup.append(callback)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mode = self.config.exit_mode
        if mode == "skip":
            return
        try:
            while kind is None and mode == "wait" and (tasks := self._unfinished()):
                concurrent.futures.wait(tasks)  # what their callbacks submitted is looked for again
        finally:
            self.cleanup()

    def start(self) -> None:
        """Start the executors, let other processes ask, and tell whoever asked by `on_load`."""
        for executor in list(self._executors.values()):
            executor.start(self._room.passing(self._report))
        desk = ControlServer(Path(self.run_dir), lambda question: answer(self, question))
        self.on_cleanup(desk.close)
        desk.open()
        for callback in _on_load:
            callback(self)
