"""Tasks that wait for what travels apart from them: first for their items, then for their large arguments. No I/O.

::

    hold ──> waiting for items ── all are here ──> waiting for large arguments ── all are here ──> complete
                  └── given up ───────────────────────────┴── gone ──────────────────────────────> lost
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from cnflow.wire.blob_frames import check_offers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.ids import TaskId
    from cnflow.manager.incomplete_tasks import IncompleteTasks, Lost
    from cnflow.manager.items.waiting import WaitingForItems
    from cnflow.wire.messages import Task, TaskParcel


class AwaitedParts:
    """The tasks; the module has a picture.

    Args:
        arguments: tasks that wait for large arguments.
        items: tasks that wait for items; None where there are none.
    """

    def __init__(self, arguments: IncompleteTasks, items: Optional[WaitingForItems] = None) -> None:
        self._arguments = arguments
        self._items = items

    def __len__(self) -> int:
        return len(self._arguments) + (len(self._items) if self._items is not None else 0)

    @property
    def has_parts(self) -> bool:
        """True while a task that has not ended has large arguments or items: `release` is to be called."""
        return self._arguments.has_blobs or (self._items is not None and self._items.has_items)

    def parcels(self) -> list[TaskParcel]:
        """Tasks that wait."""
        return [*self._arguments.parcels(), *(self._items.parcels() if self._items is not None else ())]

    def hold(self, parcel: TaskParcel) -> Optional[TaskParcel]:
        """Return *parcel*, whole, if everything is here; else keep it.

        Raises:
            ValueError: the offers do not fit the frames, or there is no place for items.
        """
        task = parcel[0]
        if not task.items:
            return self._arguments.hold(parcel) if task.blobs else parcel
        if self._items is None:
            raise ValueError(f"task {task.id} has items")
        if task.blobs:
            check_offers(task.blobs, len(parcel[1]))
        held = self._items.hold(parcel)
        return self._arguments.hold(held) if held is not None and task.blobs else held

    def release(self, attempts: list[tuple[TaskId, int]]) -> None:
        """Note the end of tasks."""
        self._arguments.release(attempts)
        if self._items is not None and self._items.has_items:
            self._items.release(attempts)

    def remove(self, attempts: Mapping[TaskId, int]) -> list[Task]:
        """Remove and return those of *attempts* that wait here; `release` follows with their result."""
        return [*self._arguments.remove(attempts), *(self._items.remove(attempts) if self._items is not None else ())]

    def clear(self) -> list[Task]:
        """Remove and return all tasks that wait here; `release` follows with their results."""
        return [*self._arguments.clear(), *(self._items.clear() if self._items is not None else ())]

    def take_complete(self) -> list[TaskParcel]:
        """Remove and return the tasks of which everything is here now."""
        found: Iterable[TaskParcel] = self._arguments.take_complete()
        if self._items is None:
            return list(found)
        self._items.settle()
        whole = [self._arguments.hold(parcel) if parcel[0].blobs else parcel for parcel in self._items.take_complete()]
        return [*found, *(parcel for parcel in whole if parcel is not None)]

    def take_lost(self) -> list[Lost]:
        """Remove and return the tasks that cannot be run. Call `take_complete` before."""
        return [*self._arguments.take_lost(), *(self._items.take_lost() if self._items is not None else ())]
