"""Shares plain tasks out among the managers within a round of the resource scheduler. No I/O.

::

    calls of models that are not bulk, before all others; bulk behind those without items (`call_lanes`)
    tasks with items, in order: the plain tasks before it, then the task itself, where its data is (`data_queue`)
    tasks without items ──> fill_slots ──> as many as the slots of a manager, and the time of its block, allow
                                             └── no time for any of them: set aside, until a shorter task waits
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Callable, Optional

from cnflow.interchange.scheduler.call_lanes import CallLanes
from cnflow.interchange.scheduler.data_queue import DataQueue
from cnflow.interchange.scheduler.end_order import EndOrder
from cnflow.interchange.scheduler.fifo import fill_slots
from cnflow.interchange.scheduler.plain_queue import PlainQueue, TimeLeft

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.deadlines import DeadlineFilter
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.item_places import ItemPlaces
    from cnflow.interchange.scheduler.task_groups import SortKey
    from cnflow.units import Seconds
    from cnflow.wire.messages import Task, TaskParcel

    Assignment = tuple[ManagerId, list[TaskParcel]]

_MOST_PASSES = 2
"""Times that the first tasks with items look for managers in a round: those behind them have their turn, too."""

_MAX_WOKEN = 64
"""Managers that are set aside and are tried again at a time, for one group of plain tasks."""


class PlainRounds:
    """The plain tasks; the module has a picture.

    Args:
        managers: the registered managers.
        slots: number of plain tasks that each manager can take.
        deadlines: lives of blocks and durations of functions.
        places: of items.
        on_changed: recounts the slots of a manager.

    Attributes:
        queue: tasks without items.
        calls: of models.
        data: tasks with items.
        late: managers that are set aside.
    """

    def __init__(
        self,
        managers: Mapping[ManagerId, ManagerRecord],
        slots: FreeSlots,
        deadlines: DeadlineFilter,
        places: ItemPlaces,
        on_changed: Callable[[ManagerId, ManagerRecord], None],
    ) -> None:
        self._managers = managers
        self._slots = slots
        self._deadlines = deadlines
        self._on_changed = on_changed
        self.queue = PlainQueue(deadlines)
        self.calls = CallLanes(managers, slots, deadlines, on_changed)
        self.data = DataQueue(places)
        self.late = EndOrder()
        self._too_long: list[Task] = []

    def __len__(self) -> int:
        return len(self.queue) + len(self.calls) + len(self.data)

    def __iter__(self) -> Iterator[TaskParcel]:
        return itertools.chain(self.calls, self.queue, self.data)

    def clear(self) -> None:
        """Remove all tasks."""
        for tasks in (self.queue, self.calls, self.data):
            tasks.clear()

    def position(self, task: TaskId) -> int:
        """Number of tasks before *task*; -1 if it does not wait here."""
        ahead = max(self.queue.position(task), self.data.position(task))
        return self.calls.position(task) if ahead < 0 else ahead + len(self.calls.express)

    def is_before(self, key: SortKey) -> bool:
        """True if a task sorts before *key*."""
        return self.queue.is_before(key) or self.data.is_before(key) or self.calls.is_before(key)

    def pop_too_long(self) -> list[Task]:
        """Remove and return the tasks that were found to be too long for every block."""
        tasks, self._too_long = self._too_long, []
        return tasks + self.queue.pop_too_long() + self.calls.pop_too_long()

    def begin_round(self, now: Seconds) -> None:
        """Let some managers that were set aside take tasks again."""
        self.queue.begin_round()
        self.calls.begin_round()
        if self.late and len(self):
            self._wake_late(now)

    def schedule(self, now: Seconds, before: Optional[SortKey]) -> Iterator[Assignment]:
        """Yield plain tasks that sort *before* a key as far as slots and time allow."""
        has_calls = len(self.calls) > 0
        if has_calls:
            yield from self.calls.schedule_express(now)
        for _ in range(_MOST_PASSES if len(self.data) else 0):
            before_it = self.data.state
            yield from self._schedule_with_items(now, before)
            if self.data.state == before_it or not self._slots:
                break
        else:
            self.data.go_on_at(now)
        yield from self._schedule_without_items(now, before)
        if has_calls:
            yield from self.calls.schedule_bulk(now, before)

    def _schedule_with_items(self, now: Seconds, before: Optional[SortKey]) -> Iterator[Assignment]:
        """Yield the first tasks with items, and the tasks without items before them."""
        for waiting in self.data.first_ones(self._slots, now):
            task = waiting.parcel[0]
            key = math.inf, task.id
            if not (self._slots or self.late) or (before is not None and key > before):
                break
            if self.queue.is_before(key):
                yield from self._schedule_without_items(now, key)
            if self.late:  # too late for the tasks before, perhaps not for this one
                self._wake_for(task, 1, now)
            if self._deadlines.is_too_long(task):
                self._too_long += [parcel[0] for parcel in self.data.pop([task.id])]
                continue
            manager = self.data.find(waiting, self._slots, functools.partial(self._has_time, task, now), now)
            if manager is not None:
                yield manager, self.data.pop([task.id])
                self._on_changed(manager, self._managers[manager])

    def wake_again(self, now: Seconds) -> Iterator[Assignment]:
        """Yield tasks for managers that were woken in this round, and may be reserved by now."""
        waiting = math.inf
        while self.late and 0 < len(self) < waiting:
            waiting = len(self)
            self._wake_late(now)
            yield from self.schedule(now, None)

    def _schedule_without_items(self, now: Seconds, before: Optional[SortKey]) -> Iterator[Assignment]:
        refused: list[ManagerId] = []
        while (count := self.queue.count_before(before)) and (shares := fill_slots(count, self._slots)):
            for manager, number in shares:
                record = self._managers[manager]
                time = TimeLeft(record.ends_at - now, record.info.node.life)
                parcels = self.queue.take_in_time(number, time, before)
                if parcels:
                    yield manager, parcels
                self._on_changed(manager, record)
                if len(parcels) < number:
                    self._slots.remove(manager)
                    if self.queue.has_in_time(time):
                        refused.append(manager)
                    else:
                        self.late.add(manager, record.ends_at, record.info.node.life)
        for manager in refused:
            self._on_changed(manager, self._managers[manager])

    def _wake_late(self, now: Seconds) -> None:
        """Let managers that were set aside take tasks again, if one that waits is short enough for them."""
        for task, count in itertools.chain(self.calls.heads(), self.queue.heads(), self.data.heads()):
            self._wake_for(task, min(count, _MAX_WOKEN), now)

    def _wake_for(self, task: Task, most: int, now: Seconds) -> None:
        seconds, has_walltime = self._deadlines.expected(task), bool(task.walltime)
        in_time = self.late.in_time(seconds, now, has_walltime=has_walltime)
        for manager in list(itertools.islice(in_time, most)):
            self._on_changed(manager, self._managers[manager])

    def _has_time(self, task: Task, now: Seconds, manager: ManagerId) -> bool:
        """True if *manager* is sent tasks, and its block has time for *task*."""
        record = self._managers.get(manager)
        if record is None or not record.is_active:
            return False
        return self._deadlines.is_in_time(task, record.ends_at - now, record.info.node.life)
