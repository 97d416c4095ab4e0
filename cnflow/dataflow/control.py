"""Answers queries of other processes about a run, such as `cnflow blocks`; `cnflow.control_socket` carries them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cnflow.errors import UnknownNameError
from cnflow.ids import TaskId
from cnflow.interfaces.introspection import Introspectable
from cnflow.model.task import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.dfk import DataFlowKernel
    from cnflow.interfaces import Executor


def answer_query(dfk: DataFlowKernel, query: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to *query*, made of JSON's types.

    Raises:
        UnknownNameError: there is no such query.
    """
    name = query.get("ask")
    if name == "blocks":
        spending = dfk.spending()
        return {"blocks": block_rows(dfk.executors), **({"spent": spending.line} if spending is not None else {})}
    if name == "explain":
        return {"lines": dfk.explain(int(query["task"])).splitlines()}
    if name == "task":
        return task_row(dfk, int(query["task"]))
    raise UnknownNameError("question", str(name), ["blocks", "explain", "task"])


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
