"""Seam for questions about a running executor: why does nothing happen, and where?

::

    cnflow blocks ──> run ──> block_reports()           cnflow explain 7 ──> run ──> explain_task(7)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.ids import TaskId
    from cnflow.model.status import BlockReport
    from cnflow.model.task import StagingNote


@runtime_checkable
class Introspectable(Protocol):
    """An executor that can answer more than `Executor.status`. Safe from any thread; may take seconds."""

    def block_reports(self) -> list[BlockReport]:
        """Every block, including those that are requested and not started yet."""

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentences on where *task* is and what it waits for; empty if the executor does not have it.

        The first sentence goes on after the task's name: ``waits for a thread ...``.
        """


@runtime_checkable
class DrainsBlocks(Protocol):
    """An executor with blocks that the user can drain."""

    def drain_block(self, block: str) -> None:
        """Give no more tasks to *block*, and end it after those that it has. Safe from any thread.

        Raises:
            UnknownNameError: there is no such block.
        """


@runtime_checkable
class ReportsStaging(Protocol):
    """An executor that reports which files of its tasks are moved, and how far they are."""

    def follow_staging(self, on_note: Callable[[StagingNote], None]) -> None:
        """Call *on_note* with each step from now on, from any thread; called once, before `Executor.start`."""
