"""Managers that register before the order to admit their block has arrived. No I/O.

The driver gives that order before it requests the block, but a slow line, or a restart, may let the manager be first::

    on_registered, block not admitted ──> waits ── block admitted ──> take_admitted: it registers now
                                           │   └── its window, and that it drains, are kept for then
                                           └── not admitted within the heartbeat threshold ──> take_overdue: refused
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.block_table import BlockTable
    from cnflow.units import Seconds
    from cnflow.wire.manager_messages import ManagerInfo


class EarlyManager:
    """Registration that waits, and what the manager sent after it."""

    __slots__ = ("held", "info", "is_draining", "since", "stopping", "window")

    def __init__(
        self, info: ManagerInfo, since: Seconds, held: Mapping[TaskId, int], stopping: Mapping[TaskId, int]
    ) -> None:
        self.info = info
        self.since = since
        self.held = held
        self.stopping = stopping
        self.window = 0
        self.is_draining = False


class EarlyManagers(dict["ManagerId", EarlyManager]):
    """Managers that wait for their block."""

    def take_admitted(self, blocks: BlockTable) -> list[tuple[ManagerId, EarlyManager]]:
        """Remove and return those whose block is admitted now."""
        admitted = [(manager, early) for manager, early in self.items() if blocks.get(early.info.block) is not None]
        for manager, _ in admitted:
            del self[manager]
        return admitted

    def take_overdue(self, before: Seconds) -> list[ManagerId]:
        """Remove and return those that wait since *before*."""
        overdue = [manager for manager, early in self.items() if early.since < before]
        for manager in overdue:
            del self[manager]
        return overdue
