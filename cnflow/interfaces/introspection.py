"""Seam for questions about a running executor: why does nothing happen, and where?

::

    cnflow blocks ──> run ──> block_reports()           cnflow explain 7 ──> run ──> explain_task(7)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.model.status import BlockReport


@runtime_checkable
class Introspectable(Protocol):
    """An executor that can answer more than `Executor.status`. Safe from any thread; may take seconds."""

    def block_reports(self) -> list[BlockReport]:
        """Every block, including those that are requested and not started yet."""

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentences on where *task* is and what it waits for; empty if the executor does not have it.

        The first sentence goes on after the task's name: ``waits for a thread ...``.
        """
