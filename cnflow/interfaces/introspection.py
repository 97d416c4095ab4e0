"""What an executor may tell of itself while it works, for people who wonder why nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cnflow.ids import TaskId
    from cnflow.model.status import BlockReport


@runtime_checkable
class Introspectable(Protocol):
    """An executor that can be asked more than its `status`. Safe from any thread; may take seconds."""

    def block_reports(self) -> list[BlockReport]:
        """Its blocks, those that are only wanted so far included."""

    def explain_task(self, task: TaskId) -> list[str]:
        """Sentences on where *task* is and what it waits for; empty if the executor does not have it.

        The first goes on after the task's name: ``waits for a thread ...``.
        """
