"""Tasks of one client that wait for their turn among the clients. No I/O.

::

    add ──> calls that go first, bulk: in order of submission ┐
            kind (no needs): in order of submission ─────────┤
            kind (2 cores):  by priority, then by their ids ─┼── first: the kind whose head sorts first, of those that
            kind (1 GPU):    the same                       ─┘          have room in the scheduler ──> take

Tasks of one kind have the same needs. A kind for which no node is free holds up no other one.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Callable, Optional, Union

from cnflow.interchange.scheduler.call_lanes import is_call, is_express

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.ids import TaskId
    from cnflow.wire.messages import Task, TaskParcel

Kind = tuple[float, int, int]
"""Cores, memory and accelerators, as in `cnflow.wire.manager_messages.Needs`; the empty tuple is for other kinds."""

EXPRESS: Kind = (-3.0, -3, -3)
"""Stands for calls of models without needs that are not bulk: they go before the client's other tasks."""

BULK: Kind = (-4.0, -4, -4)
"""Stands for those that are."""

OTHERS: Kind = (-2.0, -2, -2)
"""Kind of the tasks of a client that has too many kinds."""

_MOST_KINDS = 64


def kind_of(task: Task) -> Optional[Kind]:
    """Kind of *task*; None for one without needs."""
    needs = task.needs
    return None if needs is None else (needs.cores, needs.memory, needs.accelerators)


class _PlainLine:
    """Tasks without needs, in order of submission."""

    def __init__(self, priority: float = math.inf) -> None:
        self._priority = priority
        self._parcels: OrderedDict[TaskId, TaskParcel] = OrderedDict()

    def __len__(self) -> int:
        return len(self._parcels)

    def __iter__(self) -> Iterator[TaskParcel]:
        return iter(self._parcels.values())

    def add(self, parcel: TaskParcel) -> None:
        self._parcels[parcel[0].id] = parcel

    def remove(self, task: TaskId) -> Optional[TaskParcel]:
        return self._parcels.pop(task, None)

    def get(self, task: TaskId) -> Optional[TaskParcel]:
        return self._parcels.get(task)

    def key(self) -> tuple[float, int]:
        return self._priority, next(iter(self._parcels))

    def take(self, count: int) -> list[TaskParcel]:
        pop, parcels = self._parcels.popitem, self._parcels
        return [pop(last=False)[1] for _ in range(min(count, len(parcels)))]


class _SortedLine:
    """Tasks of one kind with needs, by priority, then by id; an entry of the heap whose task is gone is passed over."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, TaskId, int]] = []
        self._parcels: dict[TaskId, TaskParcel] = {}

    def __len__(self) -> int:
        return len(self._parcels)

    def __iter__(self) -> Iterator[TaskParcel]:
        return iter(self._parcels.values())

    def add(self, parcel: TaskParcel) -> None:
        task = parcel[0]
        assert task.needs is not None
        first = task.needs.priority == math.inf and is_express(task)
        heapq.heappush(self._heap, (-math.inf if first else task.needs.priority, task.id, task.attempt))
        self._parcels[task.id] = parcel

    def remove(self, task: TaskId) -> Optional[TaskParcel]:
        return self._parcels.pop(task, None)

    def get(self, task: TaskId) -> Optional[TaskParcel]:
        return self._parcels.get(task)

    def key(self) -> tuple[float, int]:
        while not self._is_waiting(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][:2]

    def take(self, count: int) -> list[TaskParcel]:
        taken: list[TaskParcel] = []
        while len(taken) < count and self._parcels:
            entry = heapq.heappop(self._heap)
            if self._is_waiting(*entry):
                taken.append(self._parcels.pop(entry[1]))
        return taken

    def _is_waiting(self, _: float, task: TaskId, attempt: int) -> bool:
        parcel = self._parcels.get(task)
        return parcel is not None and parcel[0].attempt == attempt


def _new_line(kind: Optional[Kind]) -> Union[_PlainLine, _SortedLine]:
    if kind is None or kind == BULK:
        return _PlainLine()
    return _PlainLine(-math.inf) if kind == EXPRESS else _SortedLine()


class ClientQueue:
    """The queue; the module has a picture.

    Attributes:
        has_calls: there was a call of a model.
    """

    def __init__(self) -> None:
        self.has_calls = False
        self._lines: dict[Optional[Kind], Union[_PlainLine, _SortedLine]] = {}
        self._kinds: dict[TaskId, Kind] = {}
        """Line of each task with needs, and of each call."""

        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[TaskParcel]:
        return (parcel for line in self._lines.values() for parcel in line)

    def add(self, parcel: TaskParcel) -> Optional[TaskParcel]:
        """Add a task; return the one with its id that waits, if there is one, which is replaced."""
        task = parcel[0]
        replaced = self._remove(task.id)
        kind = kind_of(task)
        if kind is not None:
            kind = kind if kind in self._lines or len(self._lines) < _MOST_KINDS else OTHERS
            self._kinds[task.id] = kind
        elif is_call(task):
            self.has_calls = True
            kind = self._kinds[task.id] = EXPRESS if is_express(task) else BULK
        line = self._lines.get(kind)
        if line is None:
            line = self._lines[kind] = _new_line(kind)
        line.add(parcel)
        self._length += 1
        return replaced

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        removed: list[TaskParcel] = []
        for task, attempt in attempts.items():
            line = self._lines.get(self._kinds.get(task))
            parcel = None if line is None else line.get(task)
            if parcel is not None and parcel[0].attempt == attempt:
                self._remove(task)
                removed.append(parcel)
        return removed

    def first(self, has_room: Callable[[Optional[Kind]], bool]) -> Optional[tuple[Optional[Kind]]]:
        """Kind of the task that sorts first, of those for which *has_room*, in a tuple; None if there is none."""
        if len(self._lines) == 1 and None in self._lines:  # nearly always
            return (None,) if has_room(None) else None
        found = [(line.key(), kind) for kind, line in self._lines.items() if has_room(kind)]
        return (min(found, key=lambda entry: entry[0])[1],) if found else None

    def take(self, kind: Optional[Kind], count: int) -> list[TaskParcel]:
        """Remove and return the first *count* tasks of *kind*."""
        line = self._lines[kind]
        taken = line.take(count)
        if not len(line):
            del self._lines[kind]
        if kind is not None:
            for task, _ in taken:
                del self._kinds[task.id]
        self._length -= len(taken)
        return taken

    def position(self, task: TaskId) -> int:
        """Number of tasks of its kind before *task*, about; -1 if it does not wait here."""
        line = self._lines.get(self._kinds.get(task))
        waiting = iter(line) if line is not None else iter(())
        return next((place for place, parcel in enumerate(waiting) if parcel[0].id == task), -1)

    def _remove(self, task: TaskId) -> Optional[TaskParcel]:
        kind = self._kinds.pop(task, None)
        line = self._lines.get(kind)
        parcel = None if line is None else line.remove(task)
        if line is not None and parcel is not None:
            self._length -= 1
            if not len(line):
                del self._lines[kind]
        return parcel
