"""Live half of `cnflow.config.ThreadPoolExecutor`: runs tasks in threads of the driver.

Life of a task::

    submit ──> queue ──> a thread ──────────────────────> report([outcome])
      │          │          └── cancel, walltime: `Stopped` is raised in the thread, or the command is signalled
      │          └── cancel: removed ──> report([CancelledError])
      └── `_runs`: None while it waits, its `Run` while it runs, absent once it is reported
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from cnflow.errors import AppTimeout, ExecutorClosedError, RemoteError
from cnflow.ids import TaskId
from cnflow.model.image import NO_IMAGE
from cnflow.model.provenance import driver_place
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import NO_OPTIONS, ArgumentUse, Outcome, StagingNote, TaskState, TaskToRun
from cnflow.tasks import inside
from cnflow.tasks.arguments import copy_of
from cnflow.tasks.call import (
    BASH,
    JOIN,
    Call,
    CallContext,
    check_outputs,
    is_usable,
    message_of,
    name_of_type,
    run_call,
    traceback_text,
    without_own_frames,
)
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.staging import steps
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.tasks.thread_output import call_in_thread
from cnflow.tasks.thread_stopping import Run, Stopped, Timer
from cnflow.text import describe_error, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cnflow.config import ThreadPoolExecutor
    from cnflow.interfaces import Report, RunContext
    from cnflow.model.status import BlockReport


_STATES = {
    steps.STAGING_IN: TaskState.STAGING_IN,
    steps.STAGED: TaskState.RUNNING,
    steps.STAGING_OUT: TaskState.STAGING_OUT,
}


class ThreadPoolBackend:
    """Runs tasks in threads of the driver; see `cnflow.interfaces.Executor`.

    A Python app is stopped by an exception that is raised in its thread, which C code gets only when it returns to
    Python; a thread cannot be killed.
    """

    image = NO_IMAGE

    def __init__(self, settings: ThreadPoolExecutor, run: RunContext | None = None) -> None:
        self.label = settings.label
        self._place = driver_place("" if run is None else run.run, self.label)
        self.argument_use = ArgumentUse.COPIED if settings.copy_arguments else ArgumentUse.SHARED
        self.digest: Future[str] = Future()
        self.digest.set_result("")
        self.storage_access = settings.storage_access
        self.working_dir = os.path.abspath(settings.working_dir) if settings.working_dir else ""  # noqa: PTH100 - a string, as every executor's
        self._tasks: queue.SimpleQueue[TaskToRun | None] = queue.SimpleQueue()
        self._runs: dict[TaskId, Run | None] = {}
        """Tasks that are not reported yet; None for those that wait."""

        self._cancelled: set[TaskId] = set()
        self._timer = Timer(f"cnflow-{self.label}-timer")
        self._closing = False
        self._on_staging: Callable[[StagingNote], None] | None = None
        self._pid = os.getpid()
        prefix = settings.thread_name_prefix or f"cnflow-{self.label}"
        self._threads = [
            threading.Thread(target=self._work, name=f"{prefix}-{n}", daemon=True) for n in range(settings.max_threads)
        ]

    def start(self, report: Report) -> None:
        """Start the threads."""
        self._report = report
        for thread in self._threads:
            thread.start()

    def follow_staging(self, on_note: Callable[[StagingNote], None]) -> None:
        """See `cnflow.interfaces.ReportsStaging`."""
        self._on_staging = on_note

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Queue *tasks* for the first free thread."""
        for task in tasks:
            self._runs[task.id] = None
            self._tasks.put(task)

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Drop tasks that wait, stop tasks that run."""
        ours = {task for task in tasks if task in self._runs}
        self._cancelled |= ours  # before the look at the queue: a thread looks here after it has taken a task
        dropped = self._drop(ours)
        for task in ours:
            run = self._runs.get(task)
            if run is not None:
                run.stop(CancelledError())
            elif task not in self._runs:
                self._cancelled.discard(task)  # it has ended
        for task in dropped:
            self._forget(task)
        if dropped:
            self._report([Outcome(task, None, CancelledError()) for task in dropped])

    def status(self) -> ExecutorStatus:
        """The driver itself is the one block, each thread a worker."""
        return ExecutorStatus(self.label, "", 1, 1, len(self._threads))

    def block_reports(self) -> list[BlockReport]:
        """No reports: the driver is no block."""
        return []

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentence on the thread that runs *task*, or on the wait for one."""
        if task not in self._runs:
            return []
        run = self._runs.get(task)
        if run is not None:
            return [f"has run for {duration(time.monotonic() - run.since)}, in a thread of executor {self.label!r}."]
        return [f"waits for a thread of executor {self.label!r}: all {len(self._threads)} are taken."]

    def shutdown(self) -> None:
        """Let running tasks end, fail waiting ones, end the threads; does not wait for the thread that calls this."""
        self._closing = True
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            if thread.is_alive() and thread is not threading.current_thread():
                thread.join()
        self._timer.close()

    def _drop(self, tasks: Collection[TaskId]) -> list[TaskId]:
        """Remove *tasks* from the queue and return those that were there; tasks queued just now may overtake others."""
        dropped: list[TaskId] = []
        with contextlib.suppress(queue.Empty):
            for _ in range(self._tasks.qsize()):
                task = self._tasks.get_nowait()
                if task is not None and task.id in tasks:
                    dropped.append(task.id)
                else:
                    self._tasks.put(task)
        return dropped

    def _work(self) -> None:
        current = TaskId(0)
        if (on_note := self._on_staging) is not None:
            steps.here.report = lambda step: on_note(_note_of(current, step))
        while (task := self._tasks.get()) is not None:
            current = task.id
            outcome = self._run(task)
            if copies.undo is not None:
                remove_noted()
            if os.getpid() != self._pid:
                os._exit(0 if outcome.error is None else 1)  # a child that the task forked: its parent reports
            inside.thread.runs_task = False  # callbacks of futures submit
            self._forget(task.id)
            self._report([outcome])
            del task, outcome  # a thread that waits keeps no arguments, and no copies of files

    def _forget(self, task: TaskId) -> None:
        self._runs.pop(task, None)
        if self._cancelled:
            self._cancelled.discard(task)

    def _run(self, task: TaskToRun) -> Outcome:
        if self._closing:
            return Outcome(task.id, None, ExecutorClosedError(f"{task.title} was not run: the run ended first."))
        run = Run(self._timer)
        try:
            try:
                self._runs[task.id] = run
                if task.id in self._cancelled:
                    run.stop(CancelledError())
                value = self._value(task, run)
                outcome = Outcome(task.id, value, None, "", self._place, time.time(), time.monotonic() - run.since)
            except BaseException as error:  # noqa: BLE001 - SystemExit ends the task, not the thread
                # A stopped task may raise anything on its way out; the cause of the stop counts.
                failure, words = _failure(error)  # here, where it can be stopped: both run the user's code
                lasted = time.monotonic() - run.since
                outcome = Outcome(task.id, None, run.reason or failure, words, self._place, time.time(), lasted)
            run.close()
        except Stopped:  # raised between the end of the task and `close`
            run.close()
            outcome = Outcome(task.id, None, run.reason)
        return outcome

    def _value(self, task: TaskToRun, run: Run) -> Any:  # noqa: ANN401 - the user's value
        if task.kept is not None:  # the function may change its arguments, and another attempt may follow
            args, kwargs = copy_of((task.args, task.kwargs))
            task = task._replace(args=args, kwargs=kwargs)
        options, app = task.options, task.app
        inside.thread.runs_task = app.kind != JOIN
        if options is NO_OPTIONS and app.kind != BASH:
            return call_function(app.function, task.args, task.kwargs, run.set_wake)
        what = Call(app.kind, app.name, app.function, task.args, task.kwargs, options)
        alarm = None
        if options.walltime:
            overrun = AppTimeout(app.name, options.walltime)
            alarm = self._timer.after(options.walltime, lambda: run.stop(overrun))
        try:
            value = run_call(what, CallContext(run)) if app.kind == BASH else call_in_thread(what, run, task.title)
            return value if app.kind == JOIN else check_outputs(what, value)  # its tasks make them
        finally:
            if alarm is not None:
                self._timer.forget(alarm)


def _note_of(task: TaskId, step: steps.Step) -> StagingNote:
    return StagingNote(task, _STATES[step.state], step.url, step.done, step.total)


def _failure(error: BaseException) -> tuple[BaseException, str]:
    """Return *error*, or one with its text if it would fail wherever it is looked at, and the words on it."""
    if is_usable(error):
        trace = without_own_frames(error.__traceback__)
        return BaseException.with_traceback(error, trace), describe_error(error)
    name, message = name_of_type(error), message_of(error)
    return RemoteError(name, message, traceback_text(error)), f"{name}: {message}"
