"""Queue of tasks without needs that have items, each to be sent where most of its data is. No I/O.

In order of submission, and as far as slots are free, each of the first tasks looks at the managers::

    idle slot where all that moves between managers is ─────────────────────────> there
    idle slot elsewhere ── waits for a slot there, as long as moving would take ──> there, or where a slot is
    no idle slot: slots to prefetch, in the same way

So a task never takes more than twice as long to begin as with the better of the two choices. What only the driver has
moves to any manager alike: nothing waits for a manager to which it was sent before, but slots there are preferred. A
task that waits holds up no other one: those behind it look for themselves.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from cnflow.interchange.scheduler.item_places import MOST_HOLDERS, ItemPlaces, largest
from cnflow.units import Seconds
from cnflow.wire.manager_messages import DataStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.task_groups import SortKey
    from cnflow.model.item import Item
    from cnflow.wire.messages import Task, TaskParcel

    Fits = Callable[[ManagerId], bool]

BYTES_PER_SECOND = 100e6
"""Bytes that move between two managers in a second, about: a network of 1 Gbit/s, or an encrypted connection."""

NEVER = Seconds(math.inf)

_MIN_WAIT = 0.01
"""Seconds below which waiting for a manager is not worth it."""

_MOST_LOOKS = 256
"""Tasks that look for a manager in one round."""

_MOST_COMPARED = 4
"""Managers with a free slot and data of a task that are compared."""

_MOST_FREE = 64
"""Managers with a free slot that a task looks at."""


class DataWait(NamedTuple):
    """Wait of a task for the manager that has its data."""

    manager: ManagerId
    bytes: int
    until: Seconds


class Waiting:
    """Task that waits.

    Attributes:
        parcel: the task.
        items: those that count.
        moved: those of them that some manager has made: they move between managers.
        since: moment at which it was passed over for the first time; infinite before.
        wait: for a manager that has its data; None if it takes any slot.
        holders: managers for one of which it waits.
    """

    __slots__ = ("holders", "items", "moved", "parcel", "since", "wait")

    def __init__(self, parcel: TaskParcel) -> None:
        self.parcel = parcel
        self.items = largest(parcel[0].items)
        self.moved: list[Item] = [item for item in self.items if item.source]
        self.since = math.inf
        self.wait: Optional[DataWait] = None
        self.holders: list[ManagerId] = []


class DataQueue:
    """The queue; the module has a picture.

    Args:
        places: of items.
    """

    def __init__(self, places: ItemPlaces) -> None:
        self._places = places
        self._waiting: OrderedDict[TaskId, Waiting] = OrderedDict()
        self._looking: OrderedDict[TaskId, Waiting] = OrderedDict()
        """Those that wait for no manager."""

        self._held: dict[ManagerId, OrderedDict[TaskId, Waiting]] = {}
        """Those that wait for one of the managers that have their data."""

        self._ends: list[tuple[Seconds, TaskId]] = []
        """Heap of the moments at which they have waited for long enough; those of tasks that are gone may be in it."""

        self._go_on_at = NEVER

    @property
    def next_deadline(self) -> Seconds:
        """Moment at which a task has waited for long enough; infinite if none waits for its data."""
        return min(self._ends[0][0], self._go_on_at) if self._ends else self._go_on_at

    @property
    def state(self) -> tuple[int, int]:
        """Something that is another one once a task was sent, or has begun to wait for a manager."""
        return len(self._waiting), len(self._looking)

    def go_on_at(self, now: Seconds) -> None:
        """Note that this round has come to its end before all tasks have looked that may find a manager."""
        self._go_on_at = now if self._looking else NEVER

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[TaskParcel]:
        return (waiting.parcel for waiting in self._waiting.values())

    def add(self, parcel: TaskParcel) -> None:
        """Add a task at the end."""
        task = parcel[0].id
        self.pop([task])
        self._waiting[task] = self._looking[task] = Waiting(parcel)

    def heads(self) -> Iterator[tuple[Task, int]]:
        """First tasks, each with the number of tasks that it stands for."""
        return ((task, 1) for task, _ in itertools.islice(self, _MOST_LOOKS))

    def is_before(self, key: SortKey) -> bool:
        """True if the first task sorts before *key*."""
        return bool(self._waiting) and (math.inf, next(iter(self._waiting))) < key

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        found = ((task, self._waiting.get(task), attempt) for task, attempt in attempts.items())
        return self.pop([task for task, waiting, attempt in found if waiting and waiting.parcel[0].attempt == attempt])

    def pop(self, ids: Iterable[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        removed = [waiting for task in ids if (waiting := self._waiting.pop(task, None)) is not None]
        for waiting in removed:
            self._let_look(waiting)
            del self._looking[waiting.parcel[0].id]
        if not self._waiting:
            self._go_on_at = NEVER
        self._clean()
        return [waiting.parcel for waiting in removed]

    def clear(self) -> None:
        """Remove all tasks."""
        self.pop(list(self._waiting))

    def position(self, task: TaskId) -> int:
        """Number of tasks before *task*; -1 if it does not wait here."""
        return next((place for place, waiting in enumerate(self._waiting) if waiting == task), -1)

    def status(self, task: TaskId, now: Seconds) -> Optional[DataStatus]:
        """Wait of *task* for the manager of its data; None if it waits for none."""
        waiting = self._waiting.get(task)
        if waiting is None or waiting.wait is None or waiting.wait.until <= now:
            return None
        manager, size, until = waiting.wait
        return DataStatus(manager, size, until - now)

    def on_unavailable(self, manager: ManagerId) -> None:
        """Let those look again that wait for *manager*, which takes no more tasks."""
        for waiting in list(self._held.get(manager, {}).values()):
            self._let_look(waiting)

    def first_ones(self, slots: FreeSlots, now: Seconds) -> list[Waiting]:
        """Tasks that look for a manager, in order: the first ones, and those whose manager has a free slot."""
        self._go_on_at = NEVER
        while self._ends and self._ends[0][0] <= now:
            _, task = heapq.heappop(self._ends)
            waiting = self._waiting.get(task)
            if waiting is not None and waiting.wait is not None and waiting.wait.until <= now:
                self._let_look(waiting)
        found = dict(itertools.islice(self._looking.items(), _MOST_LOOKS))
        free = slots.idle or slots.prefetch
        few, many = (free, self._held) if len(free) < len(self._held) else (self._held, free)
        for manager in few:
            if manager in many:
                found.update(itertools.islice(self._held[manager].items(), free[manager]))
        return [found[task] for task in sorted(found)]

    def find(self, waiting: Waiting, slots: FreeSlots, fits: Fits, now: Seconds) -> Optional[ManagerId]:
        """Manager to send a task to, which has a free slot and *fits*; None if there is none, or the task waits."""
        for free in (slots.idle, slots.prefetch):
            manager = self._best(waiting, free, fits)
            if manager is None:
                continue
            wait = self._wait_instead(waiting, manager, fits, now)
            if wait is not None:
                self._hold(waiting, wait)
                return None
            free[manager] = free.pop(manager)  # managers take turns
            return manager
        return None

    def _hold(self, waiting: Waiting, wait: DataWait) -> None:
        """Let a task wait for one of the managers that have what moves."""
        task = waiting.parcel[0].id
        self._let_look(waiting)
        del self._looking[task]
        waiting.wait = wait
        others = itertools.islice(self._places.holders(waiting.moved), MOST_HOLDERS)
        waiting.holders = list(dict.fromkeys((wait.manager, *others)))
        for manager in waiting.holders:
            self._held.setdefault(manager, OrderedDict())[task] = waiting
        heapq.heappush(self._ends, (wait.until, task))

    def _let_look(self, waiting: Waiting) -> None:
        """Let a task take any slot."""
        if waiting.wait is None:
            return
        task = waiting.parcel[0].id
        for manager in waiting.holders:
            held = self._held[manager]
            del held[task]
            if not held:
                del self._held[manager]
        waiting.wait, waiting.holders = None, []
        self._looking[task] = waiting
        self._looking.move_to_end(task, last=False)

    def _clean(self) -> None:
        """Forget the ends of waits that are over."""
        while self._ends:
            until, task = self._ends[0]
            waiting = self._waiting.get(task)
            if waiting is not None and waiting.wait is not None and waiting.wait.until == until:
                return
            heapq.heappop(self._ends)

    def _best(self, waiting: Waiting, free: Mapping[ManagerId, int], fits: Fits) -> Optional[ManagerId]:
        """Manager with a free slot that lacks the fewest bytes; the one whose turn it is if none has any.

        First of those that have what moves between managers, then of those that have what the driver has, too.
        """
        if not free:
            return None
        missing = self._places.missing
        for items in (waiting.moved, waiting.items):
            holders = self._places.holders(items) if items else ()
            few, many = (free, holders) if len(free) < len(holders) else (holders, free)
            local = (manager for manager in itertools.islice(few, _MOST_FREE) if manager in many and fits(manager))
            found = list(itertools.islice(local, _MOST_COMPARED))
            if len(found) == 1:
                return found[0]
            if found:
                return min(found, key=lambda manager: (missing(manager, waiting.items), -free[manager]))
        return next((manager for manager in itertools.islice(free, _MOST_FREE) if fits(manager)), None)

    def _wait_instead(self, waiting: Waiting, manager: ManagerId, fits: Fits, now: Seconds) -> Optional[DataWait]:
        """Wait of a task for another manager than *manager*; None if moving is better, or it has waited enough."""
        moved = waiting.moved
        missing = self._places.missing(manager, moved) if moved else 0
        if missing < _MIN_WAIT * BYTES_PER_SECOND:
            return None
        best = next((holder for holder in self._places.best_holders(moved) if fits(holder)), None)
        saved = 0 if best is None else missing - self._places.missing(best, moved)
        if best is None or saved < _MIN_WAIT * BYTES_PER_SECOND:
            return None
        waiting.since = min(waiting.since, now)
        until = Seconds(waiting.since + saved / BYTES_PER_SECOND)
        return DataWait(best, saved, until) if until > now else None
