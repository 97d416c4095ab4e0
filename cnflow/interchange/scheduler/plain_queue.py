"""Queue of plain tasks, in order of submission. No I/O.

::

    extend ──> common ──take──────────────────────────────────> a manager whose block has no end
                 │ the head has a walltime, or its function
                 v a known duration
               groups of like durations ──take_in_time────────> a manager whose block has time for the group's head

    remove: the entry stays as a tombstone, which is passed over; when there are more tombstones than tasks, all are
            removed at once

Tasks are told apart by duration only where blocks end, and only as they reach the head: until then a task costs as much
as in one queue. Cancelled tasks are found by an index, so that each costs the same in a queue of any length; it is made
at the first `remove`: a run that cancels nothing pays nothing for it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import TaskId
    from cnflow.interchange.scheduler.deadlines import DeadlineFilter, DurationKey
    from cnflow.interchange.scheduler.task_groups import SortKey
    from cnflow.wire.messages import Task, TaskParcel

_MIN_TOMBSTONES = 64
"""Tombstones below which the queue is not cleaned."""

_MAX_MOVES = 4096
"""Tasks that move from `common` into their groups in one round."""

_MAX_COUNT = 64
"""Tasks of each group that are counted at a time."""


class TimeLeft(NamedTuple):
    """Time of a manager's block at this moment."""

    left: float
    life: float


class _Line:
    """Tasks of like durations, in order.

    Attributes:
        key: of the durations.
        entries: tasks, and tombstones behind the first.
        head: id of the first task; -1 if there is none.
        seconds: walltime of the first task; 0 if it has none.
    """

    __slots__ = ("entries", "head", "key", "seconds")

    def __init__(self, key: DurationKey) -> None:
        self.key = key
        self.entries: deque[TaskParcel] = deque()
        self.head = -1
        self.seconds = 0.0


class PlainQueue:
    """Tasks without needs that wait for a manager.

    Args:
        deadlines: durations of tasks, and the longest life of a block.
    """

    def __init__(self, deadlines: DeadlineFilter) -> None:
        self._deadlines = deadlines
        self._common = _Line(None)
        """Tasks that were not told apart by duration yet. Its `head` is not kept up to date."""

        self._lines: dict[DurationKey, _Line] = {}
        self._index: Optional[dict[TaskId, TaskParcel]] = None
        """Waiting tasks; an entry that is not here, or is another parcel of that id, is a tombstone."""

        self._entries = 0
        self._tombstones = 0
        self._moves_left = _MAX_MOVES
        self._longest = 0.0
        self._too_long: list[Task] = []

    def __len__(self) -> int:
        return self._entries - self._tombstones

    def __iter__(self) -> Iterator[TaskParcel]:
        index = self._index
        for line in self._all_lines():
            for parcel in line.entries:
                if index is None or index.get(parcel[0].id) is parcel:
                    yield parcel

    def _all_lines(self) -> list[_Line]:
        return [*self._lines.values(), self._common]

    def extend(self, parcels: Iterable[TaskParcel]) -> None:
        """Add *parcels* at the end."""
        common = self._common.entries
        before = len(common)
        common.extend(parcels)
        added = len(common) - before
        self._entries += added
        if self._index is not None:
            self._index.update((common[-n][0].id, common[-n]) for n in range(added, 0, -1))

    def take(self, count: int) -> list[TaskParcel]:
        """Remove and return the first *count* tasks, or all if there are fewer; how long they take does not matter."""
        count = min(count, self._entries - self._tombstones)
        if self._lines:
            return self.take_in_time(count, TimeLeft(math.inf, math.inf), None)
        pop, index = self._common.entries.popleft, self._index
        if index is None:
            self._entries -= count
            return [pop()] if count == 1 else [pop() for _ in range(count)]
        taken: list[TaskParcel] = []
        while len(taken) < count:
            parcel = pop()
            self._entries -= 1
            if index.get(parcel[0].id) is parcel:
                del index[parcel[0].id]
                taken.append(parcel)
            else:
                self._tombstones -= 1
        return taken

    def begin_round(self) -> None:
        """Allow further tasks to be told apart by duration; forget empty lines."""
        self._moves_left = _MAX_MOVES
        if self._longest != self._deadlines.longest:
            self._longest = self._deadlines.longest
            for line in self._lines.values():
                self._set_head(line)
        for key in [key for key, line in self._lines.items() if not line.entries]:
            del self._lines[key]

    def take_in_time(self, count: int, time: TimeLeft, before: Optional[SortKey]) -> list[TaskParcel]:
        """Remove and return up to *count* tasks for which a block has *time*, of those that sort *before* a key."""
        taken: list[TaskParcel] = []
        common = self._common_head()
        heads = [(line.head, line.key is None, line) for line in self._lines_in_time(time)]
        heapq.heapify(heads)
        while len(taken) < count:
            line = self._common if common and not (heads and heads[0][0] < common[0].id) else None
            line = heads[0][2] if line is None and heads else line
            if line is None or (before is not None and (math.inf, line.entries[0][0].id) > before):
                break
            taken.append(self._pop(line))
            if line is self._common:
                common = self._common_head(heads, time)
                continue
            heapq.heappop(heads)
            if self._is_in_time(line, time):
                heapq.heappush(heads, (line.head, False, line))
        return taken

    def _lines_in_time(self, time: TimeLeft) -> list[_Line]:
        left = time.left
        return [
            line
            for line in self._lines.values()
            if line.head >= 0 and (line.seconds <= left if line.seconds else self._is_in_time(line, time))
        ]

    def _is_in_time(self, line: _Line, time: TimeLeft) -> bool:
        return line.head >= 0 and self._deadlines.is_in_time(line.entries[0][0], *time)

    def _common_head(
        self, heads: Optional[list[tuple[int, bool, _Line]]] = None, time: Optional[TimeLeft] = None
    ) -> Optional[TaskParcel]:
        """Head of `common`, once those before it that belong to a line are there; None at the end, or for now.

        Lines that have a head by that are added to *heads* if there is *time* for it.
        """
        while (head := self._alive_head(self._common)) and (key := self._deadlines.key(head[0])) is not None:
            if not self._moves_left:
                return None
            self._moves_left -= 1
            self._common.entries.popleft()
            line = self._lines.get(key)
            if line is None:
                line = self._lines[key] = _Line(key)
            line.entries.append(head)
            if line.head < 0:
                self._set_head(line)
                if heads is not None and time is not None and self._is_in_time(line, time):
                    heapq.heappush(heads, (line.head, False, line))
        return head

    def _set_head(self, line: _Line) -> None:
        """Find the first task of *line* after a change."""
        head = self._alive_head(line)
        line.head, line.seconds = (-1, 0.0) if head is None else (head[0].id, head[0].walltime)

    def _alive_head(self, line: _Line) -> Optional[TaskParcel]:
        """First task of *line* that is neither a tombstone nor too long for every block; None if there is none."""
        index, entries = self._index, line.entries
        while entries:
            parcel = entries[0]
            if index is not None and index.get(parcel[0].id) is not parcel:
                self._tombstones -= 1
            elif self._deadlines.is_too_long(parcel[0]):
                self._too_long.append(parcel[0])
                if index is not None:
                    del index[parcel[0].id]
            else:
                return parcel
            entries.popleft()
            self._entries -= 1
        return None

    def _pop(self, line: _Line) -> TaskParcel:
        """Remove and return the first task of *line*."""
        parcel = line.entries.popleft()
        self._entries -= 1
        if self._index is not None:
            del self._index[parcel[0].id]
        if line is not self._common:
            self._set_head(line)
        return parcel

    def heads(self) -> Iterator[tuple[Task, int]]:
        """First task of each line, and the number of entries in the line; the head of `common` last."""
        common = self._common_head()
        for line in list(self._lines.values()):
            if line.head >= 0:
                yield line.entries[0][0], len(line.entries)
        if common is not None:
            yield common[0], len(self._common.entries)

    def has_in_time(self, time: TimeLeft) -> bool:
        """True if a block has *time* for some task, as far as they were told apart."""
        return self._common_head() is not None or not self._moves_left or bool(self._lines_in_time(time))

    def is_before(self, key: SortKey) -> bool:
        """True if a task sorts before *key*."""
        if key[0] < math.inf or not len(self):
            return False
        number = key[1]
        common = self._alive_head(self._common)
        if common is not None and common[0].id < number:
            return True
        return any(0 <= line.head < number for line in self._lines.values())

    def count_before(self, before: Optional[SortKey]) -> int:
        """Number of tasks that sort *before* a key, of those at the heads of all lines; all tasks if it is None."""
        if before is None:
            return len(self)
        count = 0
        for line in self._all_lines() if self.is_before(before) else ():
            for task, _ in itertools.islice(line.entries, _MAX_COUNT):
                if (math.inf, task.id) > before:
                    break
                count += 1
        return count

    def pop_too_long(self) -> list[Task]:
        """Remove and return the tasks that were found to be too long for every block."""
        tasks, self._too_long = self._too_long, []
        return tasks

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
            for line in self._all_lines():
                alive = [parcel for parcel in line.entries if index.get(parcel[0].id) is parcel]
                line.entries.clear()
                line.entries.extend(alive)
            self._entries, self._tombstones = len(index), 0
        if self._lines:
            numbers = {parcel[0].id for parcel in removed}
            for line in self._lines.values():
                if line.head in numbers:
                    self._set_head(line)
        return removed

    def _make_index(self) -> dict[TaskId, TaskParcel]:
        if self._index is None:
            self._index = {parcel[0].id: parcel for parcel in self}
        return self._index

    def clear(self) -> None:
        """Remove all tasks."""
        self._common.entries.clear()
        self._lines.clear()
        self._index = None
        self._entries = self._tombstones = 0

    def position(self, task: TaskId) -> int:
        """Number of tasks before *task*; -1 if it does not wait here."""
        return next((place for place, (waiting, _) in enumerate(self) if waiting.id == task), -1)
