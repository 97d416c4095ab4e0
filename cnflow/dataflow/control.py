"""Answers queries of other processes about a run, such as `cnflow blocks`; `cnflow.control_socket` carries them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cnflow.dataflow import live_actions, live_tasks
from cnflow.errors import UnknownNameError
from cnflow.ids import TaskId
from cnflow.interfaces.introspection import Introspectable
from cnflow.model.task import title_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.dataflow.dfk import DataFlowKernel
    from cnflow.dataflow.loop import TaskGraph
    from cnflow.interfaces import Executor


def answer_query(dfk: DataFlowKernel, query: Mapping[str, Any], graph: TaskGraph | None = None) -> dict[str, Any]:
    """Return the answer to *query*, made of JSON's types; *graph* is that of the run, for questions about its tasks.

    Raises:
        UnknownNameError: there is no such query.
    """
    name = str(query.get("ask"))
    if graph is not None and name == "tasks":
        return live_tasks.task_rows(graph, query)
    if graph is not None and name == "task_detail":
        return live_tasks.task_detail(graph, int(query["task"]))
    if name in dfk.answers:
        return dfk.answers[name](query)
    if name not in _ANSWERS:
        raise UnknownNameError("question", name, [*_ANSWERS, *dfk.answers, "tasks", "task_detail"])
    return _ANSWERS[name](dfk, query)


def overview_row(dfk: DataFlowKernel) -> dict[str, Any]:
    """Return what `cnflow top` shows of a run."""
    spending, staging = dfk.spending(), dfk.staging_totals()
    return {
        "run_dir": str(dfk.run_dir),
        "submitted": dfk.task_count,
        "states": {state.name.lower(): number for state, number in dfk.task_counts().items() if number},
        "apps": {
            app: {state.name.lower(): number for state, number in states.items() if number}
            for app, states in dfk.app_counts().items()
        },
        "executors": [asdict(status) for status in dfk.executor_status()],
        "blocks": block_rows(dfk.executors),
        "staging": staging._asdict(),
        "spent": "" if spending is None else spending.line,
    }


def _blocks(dfk: DataFlowKernel) -> dict[str, Any]:
    spending = dfk.spending()
    return {"blocks": block_rows(dfk.executors), **({"spent": spending.line} if spending is not None else {})}


def task_row(dfk: DataFlowKernel, task: int) -> dict[str, Any]:
    """Return what `cnflow logs` needs of a task."""
    record = dfk.tasks.get(TaskId(task))
    return {
        "exists": dfk.has_task(task),
        "is_final": record is None or record.future.done(),
        "title": title_of(task, record.app.name) if record is not None else f"Task {task}",
        "runs_in_driver": record is not None and record.version is None,  # of an executor that pickles nothing
    }


def block_rows(executors: Mapping[str, Executor]) -> list[dict[str, Any]]:
    """Return a row for each block of each executor."""
    return [
        {"executor": label, **asdict(report)}
        for label, executor in executors.items()
        if isinstance(executor, Introspectable)
        for report in executor.block_reports()
    ]


_ANSWERS: Mapping[str, Callable[[DataFlowKernel, Mapping[str, Any]], dict[str, Any]]] = {
    "blocks": lambda dfk, _: _blocks(dfk),
    "explain": lambda dfk, query: {"lines": dfk.explain(int(query["task"])).splitlines()},
    "overview": lambda dfk, _: overview_row(dfk),
    "task": lambda dfk, query: task_row(dfk, int(query["task"])),
    "cancel": live_actions.cancel_task,
    "drain": live_actions.drain_block,
}
