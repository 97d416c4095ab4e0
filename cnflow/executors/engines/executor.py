"""Live half of the executors on foreign engines: makes calls of tasks, and outcomes of their ends.

::

    submit ──> TaskSerializer ──> EngineCall ──> Engine ──> worker: run_task ──> Reply ──> outcome_of ──> report
                  │ what cannot be pickled, or what the engine lacks                          ^
                  └───────────────────────────────> report ([SerializationError, ...])        │
                                                    the engine lost it: ManagerLost ──────────┘ tried again by the graph
"""

from __future__ import annotations

import os
import threading
import uuid
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from cnflow.errors import CnflowError, ConfigurationError, ExecutorClosedError
from cnflow.executors.engines.engine import EngineCall
from cnflow.executors.high_throughput.own_modules.registry import records_of
from cnflow.executors.high_throughput.results import outcome_of
from cnflow.executors.high_throughput.serialization import TaskSerializer
from cnflow.model.image import NO_IMAGE
from cnflow.model.provenance import driver_place
from cnflow.model.status import ExecutorStatus
from cnflow.model.task import ArgumentUse, Outcome
from cnflow.tasks import engine_calls
from cnflow.tasks.engine_calls import CallSent, FunctionSent, Reply
from cnflow.text import describe_error, is_ctrl_c
from cnflow.wire.messages import payload_parts, result_parcel

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.config.engine_executors import EngineSettings
    from cnflow.executors.engines.engine import End, Engine
    from cnflow.ids import FunctionId, TaskId
    from cnflow.interfaces import Report, RunContext
    from cnflow.model.status import BlockReport
    from cnflow.model.task import TaskToRun
    from cnflow.wire.function_messages import Function

_MOST_FUNCTIONS = 1000


class EngineExecutor:
    """Runs tasks on a foreign engine; see `cnflow.interfaces.Executor`.

    Args:
        settings: of the executor.
        run: that it is made for.
        engine: not started.
    """

    image = NO_IMAGE
    argument_use = ArgumentUse.PACKED

    def __init__(self, settings: EngineSettings, run: RunContext, engine: Engine) -> None:
        self.label = settings.label
        self.digest: Future[str] = Future()
        self.digest.set_running_or_notify_cancel()
        self.digest.set_result("")
        self.storage_access = settings.storage_access
        self.working_dir = os.path.abspath(settings.working_dir) if settings.working_dir else ""  # noqa: PTH100 - a string, as every executor's
        self._engine = engine
        self._serializer = TaskSerializer()
        self.version_of = self._serializer.version_of
        self._place = driver_place(run.run, self.label)
        self._driver = uuid.uuid4().hex
        self._titles: dict[TaskId, str] = {}
        """Tasks that are not reported yet."""

        self._functions: dict[FunctionId, tuple[object, ...]] = {}
        self._lock = threading.Lock()
        self._is_started = self._is_closed = False

    def start(self, report: Report) -> None:
        """Start the engine, or begin to connect to it."""
        self._report = report
        self._is_started = True
        engine_calls.drivers[self._driver] = os.getpid()
        self._engine.start(self._on_ends)

    def submit(self, tasks: Sequence[TaskToRun]) -> None:
        """Pickle *tasks* and hand them to the engine."""
        calls: list[EngineCall] = []
        failed: list[Outcome] = []
        for task in tasks:
            try:
                calls.append(self._call_of(task))
            except BaseException as error:
                if is_ctrl_c(error):
                    raise
                failed.append(Outcome(task.id, None, error, describe_error(error)))
        with self._lock:
            is_closed = self._is_closed
            if not is_closed:
                self._titles.update((call.task, call.title) for call in calls)
        if is_closed:
            failed += [Outcome(call.task, None, _closed(call.title)) for call in calls]
        elif calls:
            self._engine.submit(calls)
        if failed:
            self._report(failed)

    def cancel(self, tasks: Collection[TaskId]) -> None:
        """Cancel *tasks* in the engine."""
        ours = [task for task in tasks if task in self._titles]
        if ours:
            self._engine.cancel(ours)

    def status(self) -> ExecutorStatus:
        """Workers as the engine has them; they count as one block."""
        workers = self._engine.workers() if self._is_started and not self._is_closed else 0
        return ExecutorStatus(self.label, "", int(workers > 0), int(workers > 0), workers)

    def block_reports(self) -> list[BlockReport]:
        """No reports: the engine has its blocks itself."""
        return []

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentence on the engine that has *task*."""
        return [f"is with the engine of executor {self.label!r}."] if task in self._titles else []

    def shutdown(self) -> None:
        """Cancel what waits, let end or stop what runs, close the engine's adapter."""
        with self._lock:
            self._is_closed = True
        if not self._is_started:
            return
        self._engine.close()
        with self._lock:
            left, self._titles = self._titles, {}
        if left:
            self._report([Outcome(task, None, _closed(title)) for task, title in left.items()])
        engine_calls.drivers.pop(self._driver, None)

    def _call_of(self, task: TaskToRun) -> EngineCall:
        """Make the call of *task*.

        Raises:
            ConfigurationError: the engine cannot run it.
            SerializationError: it cannot be pickled.
        """
        resources = task.options.resources
        if resources is not None and (lacking := self._engine.refusal(resources)):
            raise ConfigurationError(f"{task.title}: executor {self.label!r} {lacking}")
        function, (head, frames) = self._serializer.serialize(task)
        body, *buffers = (bytes(part) for part in payload_parts(head, frames))
        call = CallSent(self._driver, task.title, body, tuple(buffers), task.options.walltime or 0.0)
        sent = self._sent(function)
        size = len(body) + sum(map(len, buffers)) + len(function.body)
        return EngineCall(task.id, task.title, sent, tuple(call), size, resources)

    def _sent(self, function: Function) -> tuple[object, ...]:
        known = self._functions.get(function.id)
        if known is None:
            if len(self._functions) >= _MOST_FUNCTIONS:
                self._functions.clear()
            records = tuple((record.id, record.body) for record in records_of(function))
            modules = b"".join(function.modules)
            known = tuple(FunctionSent(function.id, int(function.kind), function.name, function.body, modules, records))
            self._functions[function.id] = known
        return known

    def _on_ends(self, ends: Sequence[End]) -> None:
        with self._lock:  # the end of the run takes what is left, perhaps at this moment
            ours = [(task, self._titles.pop(task), end) for task, end in ends if task in self._titles]
        if ours:
            self._report([self._outcome(*each) for each in ours])

    def _outcome(self, task: TaskId, title: str, end: tuple[object, ...] | BaseException) -> Outcome:
        if isinstance(end, BaseException):
            is_closing = self._is_closed and isinstance(end, CancelledError)
            error = _closed(title) if is_closing else end
            return Outcome(task, None, error, describe_error(error) if isinstance(error, CnflowError) else "")
        reply = Reply(*end)  # type: ignore[arg-type]  # as the worker has made it
        result, frames = result_parcel(task, reply.kind, reply.seconds, reply.python, [reply.body, *reply.buffers])
        outcome = outcome_of(result, frames, lambda _: title)
        return outcome._replace(place=self._place._replace(host=reply.host, python=reply.version), ended=reply.ended)


def _closed(title: str) -> ExecutorClosedError:
    return ExecutorClosedError(f"{title} was not run: the run ended first.")
