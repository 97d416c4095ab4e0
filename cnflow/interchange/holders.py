"""Finds the managers that hold given tasks, without a look at every manager. No I/O.

The index is made when it is first asked, from the records of the managers, and kept from then on: a run that cancels
nothing pays nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord


class HolderIndex:
    """Manager of each task that a manager holds.

    Args:
        managers: records of all managers; whoever changes what one of them holds calls `on_held` or `on_released`.

    Attributes:
        is_made: the index was asked before; until then those calls do nothing, and can be spared.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord]) -> None:
        self._managers = managers
        self._holders: Optional[dict[TaskId, ManagerId]] = None
        self.is_made = False

    def on_held(self, manager: ManagerId, tasks: Iterable[TaskId]) -> None:
        """Record that *manager* now holds *tasks*, too."""
        if self._holders is not None:
            self._holders.update(dict.fromkeys(tasks, manager))

    def on_released(self, manager: ManagerId, tasks: Iterable[TaskId]) -> None:
        """Record that *manager* does not hold *tasks* any more."""
        if self._holders is not None:
            for task in tasks:
                if self._holders.get(task) == manager:
                    del self._holders[task]

    def holder(self, task: TaskId) -> Optional[ManagerId]:
        """Manager that holds *task*; None if none does."""
        return self._index().get(task)

    def by_manager(self, attempts: Mapping[TaskId, int]) -> dict[ManagerId, dict[TaskId, int]]:
        """Group *attempts* by the manager that holds them; leave out tasks and attempts that none holds."""
        holders = self._index()
        held: dict[ManagerId, dict[TaskId, int]] = {}
        for task, attempt in attempts.items():
            manager = holders.get(task)
            if manager is not None and self._managers[manager].held[task] == attempt:
                held.setdefault(manager, {})[task] = attempt
        return held

    def _index(self) -> dict[TaskId, ManagerId]:
        if self._holders is None:
            self.is_made = True
            self._holders = {task: manager for manager, record in self._managers.items() for task in record.held}
        return self._holders
