"""Answers to what another process asks a run that goes on; see `cnflow.control_socket`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cnflow.errors import UnknownNameError
from cnflow.interfaces.introspection import Introspectable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.dfk import DataFlowKernel
    from cnflow.interfaces import Executor


def answer_query(run: DataFlowKernel, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to *question*, as JSON has it.

    Raises:
        UnknownNameError: nobody knows such a question.
    """
    asked = question.get("ask")
    if asked == "blocks":
        return {"blocks": blocks_of(run.executors)}
    if asked == "explain":
        return {"lines": run.explain(int(question["task"])).splitlines()}
    raise UnknownNameError("question", str(asked), ["blocks", "explain"])


def blocks_of(executors: Mapping[str, Executor]) -> list[dict[str, Any]]:
    """A row for each block of each executor."""
    return [
        {"executor": label, **asdict(report)}
        for label, executor in executors.items()
        if isinstance(executor, Introspectable)
        for report in executor.block_reports()
    ]
