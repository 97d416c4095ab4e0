"""What another process of the user can have a run do, through its control socket: the dashboard's buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.ids import TaskId
from cnflow.interfaces.introspection import DrainsBlocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.dataflow.dfk import DataFlowKernel


def cancel_task(dfk: DataFlowKernel, query: Mapping[str, Any]) -> dict[str, Any]:
    """Cancel the task of *query*, as `AppFuture.cancel` would.

    Raises:
        ConfigurationError: it is not there, or has ended.
    """
    task = int(query["task"])
    record = dfk.tasks.get(TaskId(task))
    if record is None and not dfk.has_task(task):
        raise ConfigurationError(f"There is no task {task}.")
    if record is None or not record.future.cancel():
        raise ConfigurationError(f"Task {task} cannot be cancelled: it has ended.")
    return {"message": f"Task {task} is cancelled."}


def drain_block(dfk: DataFlowKernel, query: Mapping[str, Any]) -> dict[str, Any]:
    """Drain the block of *query*.

    Raises:
        UnknownNameError: there is no such executor, or block.
        ConfigurationError: the executor has no blocks.
    """
    label, block = str(query["executor"]), str(query["block"])
    if label not in dfk.executors:
        raise UnknownNameError("executor", label, list(dfk.executors))
    executor = dfk.executors[label]
    if not isinstance(executor, DrainsBlocks):
        raise ConfigurationError(f"The executor {label!r} has no blocks.")
    executor.drain_block(block)
    return {"message": f"Block {block} of {label} drains: it ends after the tasks that it has."}
