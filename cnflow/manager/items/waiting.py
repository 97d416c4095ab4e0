"""Tasks that wait for items: they hold no worker, and tasks behind them run. No I/O.

::

    hold ── all items are here ──────────────────────────────────────────────────> the task may go on
      └──> waiting ── settle: the last one is here ──────────────────────────────> complete
              ├── settle: one of them was given up ──────────────────────────────> lost: ITEM_LOST, or words
              └── remove: cancelled ─ clear: the manager ends ───────────────────> the caller reports it
    release: the task has ended ──> its items stay as long as there is room
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.manager.incomplete_tasks import Lost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.manager.items.needs import ItemNeeds
    from cnflow.model.item import Item
    from cnflow.wire.messages import Task, TaskParcel

    Attempt = tuple[TaskId, int]


WORTH_NOTING = 1024 * 1024
"""Bytes: smaller contents are here before anybody has read that a task waits for them."""


class Wait(NamedTuple):
    """Beginning or end of a task's wait."""

    task: TaskId
    attempt: int
    total: int
    """Bytes that it waits for; below 0 at the end."""

    done: int = -1
    """Bytes of them that have come."""


class WaitingForItems:
    """The tasks; the module has a picture.

    Args:
        needs: contents that tasks use.
        manager: id of this manager, which asks itself for nothing.
    """

    def __init__(self, needs: ItemNeeds, manager: ManagerId) -> None:
        self._needs = needs
        self._manager = manager
        self._waiting: dict[Attempt, TaskParcel] = {}
        self._missing: dict[Attempt, set[bytes]] = {}
        self._waiters: dict[bytes, dict[Attempt, None]] = {}
        """Tasks that wait, by each key that they miss."""

        self._keys: dict[Attempt, list[bytes]] = {}
        """Contents of each task that has not ended."""

        self._complete: list[TaskParcel] = []
        self._lost: list[Lost] = []
        self._noted: dict[Attempt, dict[bytes, int]] = {}
        """Sizes of the contents that tasks waited for in the beginning, of those worth noting."""

        self._notes: list[Wait] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_items(self) -> bool:
        """True while a task that has not ended has items: `release` is to be called."""
        return bool(self._keys)

    @property
    def has_news(self) -> bool:
        """True while `settle` has something to do."""
        return self._needs.has_news

    def parcels(self) -> list[TaskParcel]:
        """Tasks that wait for items."""
        return list(self._waiting.values())

    def hold(self, parcel: TaskParcel) -> Optional[TaskParcel]:
        """Return *parcel* if all of its items are here; else keep it, and ask for them."""
        task = parcel[0]
        attempt = task.id, task.attempt
        items: dict[bytes, list[Item]] = {}
        for item in task.items:
            items.setdefault(item.key, []).append(item)
        self._keys[attempt] = list(items)
        missing: set[bytes] = set()
        for key, same in items.items():
            if not self._needs.use(key, same[0].size, *(item for item in same if item.source != self._manager)):
                missing.add(key)
        if not missing:
            return parcel
        self._waiting[attempt] = parcel
        self._missing[attempt] = missing
        sizes = {key: items[key][0].size for key in missing}
        if sum(sizes.values()) >= WORTH_NOTING:
            self._noted[attempt] = sizes
            self._notes.append(Wait(*attempt, sum(sizes.values()), 0))
        for key in missing:
            self._waiters.setdefault(key, {})[attempt] = None
        return None

    def release(self, attempts: Iterable[Attempt]) -> None:
        """Note the end of tasks: their items are needed for others only."""
        for attempt in attempts:
            self._needs.release(self._keys.pop(attempt, ()))

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here; `release` follows with their result."""
        return [self._take(attempt)[0] for attempt in attempts.items() if attempt in self._waiting]

    def clear(self) -> list[Task]:
        """Remove and return all tasks that wait here; `release` follows with their results."""
        return [self._take(attempt)[0] for attempt in list(self._waiting)]

    def settle(self) -> None:
        """Follow the contents that have arrived, and those that were given up."""
        for key in self._needs.take_arrived():
            for attempt in list(self._waiters.get(key, ())):
                self._missing[attempt].discard(key)
                if not self._missing[attempt]:
                    self._complete.append(self._take(attempt))
            self._waiters.pop(key, None)
        for key, reason, is_gone in self._needs.take_given_up():
            for attempt in list(self._waiters.get(key, ())):
                self._lost.append(Lost(self._take(attempt)[0], reason, key if is_gone else b""))

    def take_complete(self) -> list[TaskParcel]:
        """Remove and return the tasks whose items are here now."""
        complete, self._complete = self._complete, []
        return complete

    def take_lost(self) -> list[Lost]:
        """Remove and return the tasks that cannot be run."""
        lost, self._lost = self._lost, []
        return lost

    def take_notes(self) -> list[Wait]:
        """Remove and return the tasks that have begun, or ceased, to wait for contents worth noting."""
        notes, self._notes = self._notes, []
        return notes

    def progress(self) -> list[Wait]:
        """Tasks that wait for contents worth noting, with what has come of these."""
        return [
            Wait(*attempt, sum(sizes.values()), sum(map(self._needs.arrived, sizes)))
            for attempt, sizes in self._noted.items()
        ]

    def _take(self, attempt: Attempt) -> TaskParcel:
        if attempt in self._noted:
            del self._noted[attempt]
            self._notes.append(Wait(*attempt, -1))
        for key in self._missing.pop(attempt):
            waiters = self._waiters[key]
            del waiters[attempt]
            if not waiters:
                del self._waiters[key]
        return self._waiting.pop(attempt)
