"""Explains in lines for people why a task has no result yet: `cnflow explain`, ``dfk.explain(task)``.

::

    task ──final────> how it ended
      ├──launched──> its executor explains: queued, on which manager, since when
      ├──waiting──> its dependencies, then the launched tasks at the ends of all chains of dependencies
      └── the rule by which it goes to its executor
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow import join_apps
from cnflow.dataflow.explain_origin import line_on
from cnflow.dataflow.futures.app_future import AppFuture, title_of_future
from cnflow.dataflow.futures.data_future import DataFuture
from cnflow.dataflow.retry import error_of
from cnflow.interfaces.introspection import Introspectable
from cnflow.model.task import AppKind, TaskState, title_of
from cnflow.text import describe_error, in_a_sentence

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.task_record import TaskRecord
    from cnflow.ids import TaskId

_MAX_DEPENDENCIES = 10
"""Dependencies that are listed one by one."""

_MAX_ROOTS = 3
"""Launched tasks at the ends of chains of dependencies that are explained."""


def explain(task: TaskId, graph: TaskGraph) -> list[str]:
    """Return lines on the state of *task* and its dependencies, down to the launched ones. Safe from any thread."""
    lines = _explain(task, graph)
    record = graph.records.get(task)
    rule = "" if record is None else graph.live.rule(record.executor)
    return [*lines, rule] if rule else lines


def _explain(task: TaskId, graph: TaskGraph) -> list[str]:
    if not graph.first_task <= task < graph.next_task:
        count = graph.next_task - graph.first_task
        so_far = (
            f"{count} were submitted so far, counted from {graph.first_task}" if count else "none was submitted yet"
        )
        return [f"There is no task {task}: {so_far}."]
    record, state = graph.records.get(task), graph.state_of(task)
    if record is None or state is None:
        future = graph.failures.future_of(task) or getattr(graph.finished.get(task), "future", None)
        line = "" if future is None or not future.done() else line_on(future.provenance)
        return [_explain_final(task, graph), *([line] if line else [])]
    title = title_of(task, record.app.name)
    staging = [f"  {line}" for line in graph.staging.lines(task)]
    if graph.staging.launched_or_waiting(task) is TaskState.LAUNCHED:
        first, *more = _explain_launched(task, record, graph)
        return [f"{title} {first}", *more, *staging]
    dependencies = [future for future in record.depends if not future.done()]
    if not dependencies:
        return [f"{title} is about to be launched: its dependencies are done."]
    counted = "1 future that is" if len(dependencies) == 1 else f"{len(dependencies)} futures that are"
    lines = [f"{title} waits for {counted} not done:"]
    lines += [f"  {_line_on(future, graph)}" for future in dependencies[:_MAX_DEPENDENCIES]]
    lines += staging
    if len(dependencies) > _MAX_DEPENDENCIES:
        lines.append(f"  and {len(dependencies) - _MAX_DEPENDENCIES} more")
    for root in _roots_of(record, graph):
        lines += _explain(root, graph)
    return lines


def _explain_final(task: TaskId, graph: TaskGraph) -> str:
    failed = graph.failures.future_of(task)
    if failed is None or not failed.done():
        return f"Task {task} is done."
    title = title_of_future(failed)
    return f"{title} was cancelled." if failed.cancelled() else f"{title} failed. {describe_error(error_of(failed))}"


def _explain_launched(task: TaskId, record: TaskRecord, graph: TaskGraph) -> list[str]:
    if record.app.kind is AppKind.JOIN:
        lines = _lines_of_executor(graph.executors.get(join_apps.LABEL), task)
        return lines or ["has returned futures that are not all done."]
    lines = _lines_of_executor(graph.executors.get(record.executor), task)
    if lines:
        return lines
    if graph.keeper.is_waiting(task):
        return ["waits for results that stayed on other nodes: they are fetched, or were lost and are made again."]
    if record.memoize:
        return ["waits for an identical call, whose result will be its own; or its cache key is being computed."]
    return [f"is on its way to executor {record.executor!r}, or has just ended there."]


def _lines_of_executor(executor: object, task: TaskId) -> list[str]:
    return executor.explain_task(task) if isinstance(executor, Introspectable) else []


def _line_on(future: Future[Any], graph: TaskGraph) -> str:
    task = _task_of(future)
    state = None if task is None else graph.state_of(task)
    word = state.name.lower() if state is not None else "done" if future.done() else "not done"
    return f"{in_a_sentence(title_of_future(_parent_of(future)))}, {word}"


def _roots_of(record: TaskRecord, graph: TaskGraph) -> list[TaskId]:
    """Return the first few launched tasks that the task of *record* depends on, also by way of waiting ones."""
    found: dict[TaskId, None] = {}
    seen: set[TaskId] = set()
    left = [record]
    while left and len(found) < _MAX_ROOTS:
        for future in left.pop().depends:
            task = _task_of(future)
            if task is None or task in seen:
                continue
            seen.add(task)
            next_record, state = graph.records.get(task), graph.state_of(task)
            if next_record is None or state is None:
                continue
            if graph.staging.launched_or_waiting(task) is TaskState.LAUNCHED:
                found[task] = None
            else:
                left.append(next_record)
    return list(found)[:_MAX_ROOTS]


def _task_of(future: Future[Any]) -> TaskId | None:
    future = _parent_of(future)
    return future.tid if isinstance(future, AppFuture) else None


def _parent_of(future: Future[Any]) -> Future[Any]:
    return future.parent if isinstance(future, DataFuture) else future
