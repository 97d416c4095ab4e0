"""Makes spans of the events of a run. No I/O.

::

    run                                   RunEvent running ... RunEvent ended
     ├── task: sort                       SubmittedEvent ... TaskEvent done, failed, cancelled, dependency_failed
     │     ├── try 0                      TaskEvent launched ... FailureEvent
     │     └── try 1                      TaskEvent launched ... TaskEvent done
     └── task: fit, with a link to each task whose result it needs

A span is made when it has ended. A task of which no end comes, since its driver is gone, has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.events import FailureEvent, RunEvent, SubmittedEvent, TaskEvent
from cnflow.monitoring.sinks.open_telemetry.ids import run_span, task_span, trace_id, try_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.model.events import AnyEvent

    Attributes = Mapping[str, str | int | float | bool]

_FINAL = frozenset({"done", "failed", "dependency_failed", "cancelled"})
_FAILED = frozenset({"failed", "dependency_failed"})

_LONGEST_TRACEBACK = 8_000
"""Characters; the last ones are kept."""


class Problem(NamedTuple):
    """Exception of a span."""

    type_name: str
    message: str
    traceback: str = ""


class Span(NamedTuple):
    """Span that has ended; times in seconds since 1970."""

    name: str
    trace: int
    id: int
    parent: int | None
    start: float
    end: float
    attributes: Attributes
    links: Sequence[int] = ()
    """Spans of the same trace."""

    error: str = ""
    """Empty for a span that is not a failure."""

    problem: Problem | None = None
    is_server: bool = False
    """It answers a request; `parent`, if there is one, is the caller's."""


class _OpenTask:
    """A task without an end so far."""

    __slots__ = ("attempt", "event", "launched")

    def __init__(self, event: SubmittedEvent) -> None:
        self.event = event
        self.launched = 0.0
        """Time of the launch of the try that runs; 0 while none does."""

        self.attempt = 0


class SpanMaker:
    """Turns events into spans; see the module."""

    def __init__(self) -> None:
        self._run: RunEvent | None = None
        self._tasks: dict[int, _OpenTask] = {}

    def spans_of(self, events: Iterable[AnyEvent]) -> list[Span]:
        """Return the spans that end with one of *events*."""
        spans: list[Span] = []
        for event in events:
            if isinstance(event, TaskEvent):
                spans += self._on_state(event)
            elif isinstance(event, SubmittedEvent):
                self._tasks[event.task] = _OpenTask(event)
            elif isinstance(event, FailureEvent):
                spans += self._on_failure(event)
            elif isinstance(event, RunEvent):
                spans += self._on_run(event)
        return spans

    def _on_run(self, event: RunEvent) -> list[Span]:
        if self._run is None:
            self._run = event
            return []
        begun = self._run
        numbers = {"tasks": event.tasks, "done": event.done, "failed": event.failed, "cancelled": event.cancelled}
        words: dict[str, str | int] = {
            "cnflow.run": begun.run,
            "cnflow.folder": begun.folder,
            "cnflow.version": begun.cnflow,
            "host.name": begun.host,
            "process.pid": begun.pid,
        }
        counted = {f"cnflow.tasks.{name}": number for name, number in numbers.items() if number >= 0}
        name = begun.name or begun.script or "cnflow"
        place = trace_id(begun.run), run_span(begun.run), None
        return [Span(f"run {name}", *place, begun.time, event.time, {**words, **counted})]

    def _on_state(self, event: TaskEvent) -> list[Span]:
        task = self._tasks.get(event.task)
        if task is None or self._run is None:
            return []
        if event.state == "launched":
            task.launched, task.attempt = event.time, event.attempt
            return []
        if event.state not in _FINAL:
            return []
        del self._tasks[event.task]
        spans = [] if event.is_memoized or not task.launched else [self._try_that_ended(task, event)]
        return [*spans, self._task_span(task, event)]

    def _try_that_ended(self, task: _OpenTask, event: TaskEvent) -> Span:
        attributes = {
            **self._names(task, event.attempt),
            **_place(event.block, event.manager, event.host),
            "cnflow.state": event.state,
        }
        times = _times(event.started or task.launched, event.ended or event.time)
        return self._try_span(task, event.attempt, times, attributes)

    def _on_failure(self, event: FailureEvent) -> list[Span]:
        task = self._tasks.get(event.task)
        if task is None or self._run is None:
            return []
        attributes = {
            **self._names(task, event.attempt),
            **_place(event.block, event.manager, event.host),
            "cnflow.state": "failed",
            "cnflow.is_retried": event.is_retried,
        }
        known = {
            "container.image.name": event.image,
            "container.image.repo_digest": event.digest,
            "process.exit.signal": event.signal,
        }
        attributes.update((name, value) for name, value in known.items() if value)
        if event.exit_code >= 0:
            attributes["process.exit.code"] = event.exit_code
        times = _times(event.started or task.launched or event.time, event.ended or event.time)
        task.launched = 0.0
        problem = Problem(event.error_type, event.message, event.traceback[-_LONGEST_TRACEBACK:])
        span = self._try_span(task, event.attempt, times, attributes)
        return [span._replace(error=event.message or event.error_type, problem=problem)]

    def _try_span(self, task: _OpenTask, attempt: int, times: tuple[float, float], attributes: Attributes) -> Span:
        run, number = self._id, task.event.task
        place = trace_id(run), try_span(run, number, attempt), task_span(run, number)
        return Span(f"{task.event.app} try {attempt}", *place, *times, attributes)

    def _task_span(self, task: _OpenTask, event: TaskEvent) -> Span:
        run, submitted = self._id, task.event
        attributes = {
            **self._names(task, event.attempt),
            "cnflow.state": event.state,
            "cnflow.is_memoized": event.is_memoized,
        }
        known = {"cnflow.arguments": submitted.arguments, "container.image.name": submitted.image}
        attributes.update((name, value) for name, value in known.items() if value)
        place = trace_id(run), task_span(run, submitted.task), run_span(run)
        error = (event.reason or event.state) if event.state in _FAILED else ""
        links = [task_span(run, needed) for needed in submitted.depends]
        times = _times(submitted.time, event.time)
        return Span(submitted.app, *place, *times, attributes, links, error)

    def _names(self, task: _OpenTask, attempt: int) -> dict[str, str | int | float | bool]:
        return {
            "cnflow.run": self._id,
            "cnflow.task": task.event.task,
            "cnflow.app": task.event.app,
            "cnflow.executor": task.event.executor,
            "cnflow.attempt": attempt,
        }

    @property
    def _id(self) -> str:
        return "" if self._run is None else self._run.run


def _place(block: str, manager: str, host: str) -> dict[str, str]:
    known = {"cnflow.block": block, "cnflow.manager": manager, "host.name": host}
    return {name: value for name, value in known.items() if value}


def _times(start: float, end: float) -> tuple[float, float]:
    """*start* and *end*; of two clocks that differ, the end is not before the start."""
    return start, max(start, end)
