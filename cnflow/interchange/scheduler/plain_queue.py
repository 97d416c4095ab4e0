"""Queue of plain tasks, in order of submission. No I/O.

::

    extend ──> entries ──take──> a manager
                  │
               remove: the entry stays as a tombstone, which `take` passes over; when there are more tombstones than
                       tasks, all are removed at once

Cancelled tasks are found by an index, so that each costs the same in a queue of any length. The index is made at the
first `remove`: a run that cancels nothing pays nothing for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import TaskId
    from cnflow.wire.messages import TaskParcel

_MIN_TOMBSTONES = 64
"""Tombstones below which the queue is not cleaned."""


class PlainQueue:
    """Tasks without needs that wait for a manager."""

    def __init__(self) -> None:
        self._entries: deque[TaskParcel] = deque()
        self._index: Optional[dict[TaskId, TaskParcel]] = None
        """Waiting tasks; an entry that is not here, or is another parcel of that id, is a tombstone."""

        self._tombstones = 0

    def __len__(self) -> int:
        return len(self._entries) - self._tombstones

    def __iter__(self) -> Iterator[TaskParcel]:
        index = self._index
        if index is None:
            return iter(self._entries)
        return (parcel for parcel in self._entries if index.get(parcel[0].id) is parcel)

    def extend(self, parcels: Iterable[TaskParcel]) -> None:
        """Add *parcels* at the end."""
        if self._index is None:
            self._entries.extend(parcels)
            return
        for parcel in parcels:
            self._index[parcel[0].id] = parcel
            self._entries.append(parcel)

    def take(self, count: int) -> list[TaskParcel]:
        """Remove and return the first *count* tasks, or all if there are fewer."""
        count = min(count, len(self))
        pop, index = self._entries.popleft, self._index
        if index is None:
            return [pop() for _ in range(count)]
        taken: list[TaskParcel] = []
        while len(taken) < count:
            parcel = pop()
            if index.get(parcel[0].id) is parcel:
                del index[parcel[0].id]
                taken.append(parcel)
            else:
                self._tombstones -= 1
        return taken

    def put_back(self, parcels: list[TaskParcel]) -> None:
        """Add *parcels*, which `take` has returned, at the head again, in the same order."""
        self._entries.extendleft(reversed(parcels))
        if self._index is not None:
            self._index.update((parcel[0].id, parcel) for parcel in parcels)

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        index = self._make_index()
        waiting = ((number, index.get(number), attempt) for number, attempt in attempts.items())
        return self.pop([number for number, parcel, attempt in waiting if parcel and parcel[0].attempt == attempt])

    def pop(self, ids: Iterable[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        index = self._make_index()
        removed = [parcel for number in ids if (parcel := index.pop(number, None)) is not None]
        self._tombstones += len(removed)
        if self._tombstones > max(_MIN_TOMBSTONES, len(index)):
            self._entries = deque(self)
            self._tombstones = 0
        return removed

    def _make_index(self) -> dict[TaskId, TaskParcel]:
        if self._index is None:
            self._index = {parcel[0].id: parcel for parcel in self._entries}
        return self._index

    def clear(self) -> None:
        """Remove all tasks."""
        self._entries.clear()
        self._index = None
        self._tombstones = 0

    def position(self, task: TaskId) -> int:
        """Number of tasks before *task*; -1 if it does not wait here."""
        return next((place for place, (waiting, _) in enumerate(self) if waiting.id == task), -1)
