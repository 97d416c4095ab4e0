"""Answers of a live run about its tasks, for `cnflow top`, `cnflow tasks` and `cnflow task` without monitoring.

::

    records of unfinished tasks ──┐
    finished ones, where kept ────┼──filter, by id──> rows, at most `limit`, and the id to go on after
    failures, which are kept ─────┘

Finished tasks are counted, not listed, unless the run keeps them (``Config(garbage_collect=False)``): the database of
monitoring has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.dataflow.explain import explain
from cnflow.dataflow.futures.app_future import AppFuture
from cnflow.dataflow.futures.origin import origin_of
from cnflow.ids import TaskId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.end_report import Failure
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.dataflow.task_record import TaskRecord

_MOST_ROWS = 10_000
"""Rows of one answer."""

_LONGEST_ERROR = 300
"""Characters of an error in a row."""

_FILTERS = ("app", "executor", "host", "image")


def task_rows(graph: TaskGraph, query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tasks that are known and match *query*, by id, with ``next`` as in `cnflow.monitoring.queries`.

    Args:
        graph: of the run.
        query: ``app``, ``executor``, ``host``, ``image`` are equal, ``states`` have the task's, and ``text`` is part of
            the app or the error, where they are not empty; ``after`` is the id to go on after, ``limit`` the number of
            rows.
    """
    limit = max(1, min(int(query.get("limit", 100)), _MOST_ROWS))
    after = int(query.get("after", -1))
    wanted = {name: str(query[name]) for name in _FILTERS if query.get(name)}
    text, states = str(query.get("text", "")).lower(), query.get("states")
    known = _Known(graph)
    rows: list[dict[str, Any]] = []
    for task in sorted(number for number in known.ids() if number > after):
        row = known.row(task)
        if row is None or any(row[name] != value for name, value in wanted.items()):
            continue
        if states and row["state"] not in states:
            continue
        if text and text not in f"{row['app']}\n{row['error']}".lower():
            continue
        if len(rows) == limit:
            return {"tasks": rows, "next": rows[-1]["id"], "previous": None, "unlisted": known.unlisted()}
        rows.append(row)
    return {"tasks": rows, "next": None, "previous": None, "unlisted": known.unlisted()}


def task_detail(graph: TaskGraph, task: int) -> dict[str, Any]:
    """Return what is known of one task; ``task`` is None for one that is finished and not kept."""
    known, number = _Known(graph), TaskId(task)
    record = graph.records.get(number) or graph.finished.get(number)
    depends = [] if record is None else [each.tid for each in record.depends if isinstance(each, AppFuture)]
    return {
        "exists": graph.first_task <= number < graph.next_task,
        "task": known.row(number),
        "depends": depends,
        "errors": [] if record is None else [*record.failures],
        "explanation": explain(number, graph),
    }


class _Known:
    """Tasks of which a live run still has more than their number."""

    def __init__(self, graph: TaskGraph) -> None:
        self._graph = graph
        self._failures: dict[int, Failure] = {each.future.tid: each for each in graph.failures.all()}
        self._images = {label: executor.status().image for label, executor in list(graph.executors.items())}

    def ids(self) -> set[int]:
        return {*self._failures, *list(self._graph.records), *list(self._graph.finished)}

    def unlisted(self) -> int:
        """Return the number of tasks that are finished and not kept."""
        return max(0, self._graph.next_task - self._graph.first_task - len(self.ids()))

    def row(self, task: int) -> dict[str, Any] | None:
        """Return the fields of a `cnflow.monitoring.queries.views.TaskView`; None if it is not kept any more."""
        number = TaskId(task)
        record = self._graph.records.get(number) or self._graph.finished.get(number)
        failure = self._failures.get(task)
        future = failure.future if failure is not None else record.future if record is not None else None
        if future is None:
            return None
        state = None if failure is not None else self._graph.state_of(number)
        origin = origin_of(future)
        executor = "" if record is None else record.executor
        return {
            "id": task,
            "app": future.name,
            "state": future.task_status() if state is None else state.name.lower(),
            "executor": executor or origin.place.executor,
            "image": self._images.get(executor, ""),
            "host": origin.place.host,
            "submitted": None,
            "ended": origin.ended,
            "run_seconds": _seconds_between(origin.started, origin.ended),
            "tries": origin.attempts,
            "error": _error_of(record, failure),
        }


def _seconds_between(started: float | None, ended: float | None) -> float | None:
    return ended - started if started and ended else None


def _error_of(record: TaskRecord | None, failure: Failure | None) -> str:
    if failure is not None:
        return failure.words[:_LONGEST_ERROR]
    return record.failures[-1][:_LONGEST_ERROR] if record is not None and record.failures else ""
