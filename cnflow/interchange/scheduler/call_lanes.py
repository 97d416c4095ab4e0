"""Queues of calls of models, which managers answer in batches. No I/O.

::

    add ──> express: not bulk ── before all other tasks ──> idle slots, as many as the manager wants, as many again
        └─> bulk ── in order among other tasks ───────────> idle slots, as many as the manager wants

A manager wants a number of calls besides its other tasks, some batches for each worker: they are counted apart, so that
neither kind takes the other's room. Calls that are not bulk go beyond that number: a manager that has one before a
worker is idle has it in its next batch.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Callable, Optional

from cnflow.interchange.scheduler.fifo import fill_bulk, fill_express
from cnflow.interchange.scheduler.plain_queue import PlainQueue, TimeLeft
from cnflow.wire.manager_messages import Needs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.deadlines import DeadlineFilter
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.task_groups import SortKey
    from cnflow.units import Seconds
    from cnflow.wire.messages import Task, TaskParcel

    Fill = Callable[[int, FreeSlots], list[tuple[ManagerId, int]]]


def is_call(task: Task) -> bool:
    """Return True for a call of a model: it has rows."""
    return task.rows > 0


def is_express(task: Task) -> bool:
    """Return True for a call of a model that is not bulk: it goes before all other tasks."""
    return task.rows > 0 and not task.is_bulk


def put_first_if_express(task: Task) -> None:
    """Let a call with needs that goes first sort before other tasks with needs, unless it has a priority of its own."""
    needs = task.needs
    if needs is not None and needs.priority == math.inf and is_express(task):
        task.needs = Needs(needs.cores, needs.memory, needs.accelerators, -math.inf)


class CallLanes:
    """The queues; the module has a picture.

    Args:
        managers: the registered managers.
        slots: number of tasks that each manager can take.
        deadlines: lives of blocks and durations of functions.
        on_changed: recounts the slots of a manager.

    Attributes:
        express: calls that go first.
        bulk: others.
    """

    def __init__(
        self,
        managers: Mapping[ManagerId, ManagerRecord],
        slots: FreeSlots,
        deadlines: DeadlineFilter,
        on_changed: Callable[[ManagerId, ManagerRecord], None],
    ) -> None:
        self._managers = managers
        self._slots = slots
        self._on_changed = on_changed
        self.express, self.bulk = PlainQueue(deadlines), PlainQueue(deadlines)

    def __len__(self) -> int:
        return len(self.express) + len(self.bulk)

    def __iter__(self) -> Iterator[TaskParcel]:
        return itertools.chain(self.express, self.bulk)

    def add(self, parcel: TaskParcel) -> None:
        """Add a call at the end of its queue."""
        (self.express if is_express(parcel[0]) else self.bulk).extend([parcel])
        self.allow()

    def allow(self) -> None:
        """Count from now on how many calls managers take."""
        if not self._slots.has_calls:
            self._slots.has_calls = True
            for manager, record in self._managers.items():
                self._on_changed(manager, record)

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        return [*self.express.remove(attempts), *self.bulk.remove(attempts)] if len(self) else []

    def pop(self, ids: Iterable[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        ids = list(ids)
        return [*self.express.pop(ids), *self.bulk.pop(ids)] if len(self) else []

    def clear(self) -> None:
        """Remove all calls."""
        self.express.clear()
        self.bulk.clear()

    def position(self, task: TaskId) -> int:
        """Number of calls of its queue before *task*; -1 if it does not wait here."""
        return max(self.express.position(task), self.bulk.position(task))

    def is_before(self, key: SortKey) -> bool:
        """True if a call sorts before *key*."""
        return bool(len(self.express)) or self.bulk.is_before(key)

    def begin_round(self) -> None:
        """See `PlainQueue.begin_round`."""
        self.express.begin_round()
        self.bulk.begin_round()

    def heads(self) -> Iterator[tuple[Task, int]]:
        """See `PlainQueue.heads`."""
        return itertools.chain(self.express.heads(), self.bulk.heads())

    def pop_too_long(self) -> list[Task]:
        """Remove and return the calls that were found to be too long for every block."""
        return self.express.pop_too_long() + self.bulk.pop_too_long()

    def schedule_express(self, now: Seconds) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        """Yield calls that go first, with their managers."""
        return self._schedule(self.express, fill_express, now, None)

    def schedule_bulk(self, now: Seconds, before: Optional[SortKey]) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        """Yield other calls that sort *before* a key, with their managers."""
        return self._schedule(self.bulk, fill_bulk, now, before)

    def _schedule(
        self, queue: PlainQueue, fill: Fill, now: Seconds, before: Optional[SortKey]
    ) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        refused: list[ManagerId] = []
        while len(queue) and (count := queue.count_before(before)) and (shares := fill(count, self._slots)):
            for manager, number in shares:
                record = self._managers[manager]
                time = TimeLeft(record.ends_at - now, record.info.node.life)
                parcels = queue.take_in_time(number, time, before)
                if parcels:
                    yield manager, parcels
                self._on_changed(manager, record)
                if len(parcels) < number:
                    self._slots.remove(manager)
                    refused.append(manager)
        for manager in refused:  # others may be shorter
            self._on_changed(manager, self._managers[manager])
