"""Which node runs a task that says what it needs; pure.

Tasks go in the order of their priority, then of their submission, those that say nothing included (they have no
priority, and come after all that have one). Whoever does not fit now is passed over, but for the first: a node is kept
free for it until it fits, so that a stream of small tasks does not keep a big one waiting for ever, nor the reverse.

Tasks with the same needs wait together: if the first of them fits nowhere, no other does.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from cnflow.interchange.matching import match
from cnflow.interchange.places import told
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Generator, Hashable, Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId
    from cnflow.interchange.known import Known
    from cnflow.interchange.matching import Slots
    from cnflow.interchange.places import Place
    from cnflow.wire.managers import Needs
    from cnflow.wire.messages import ResultParcel, TaskParcel

_LOOKED_AT = 4096
"""Tasks whose turn is looked at in one go."""


class _Group:
    __slots__ = ("candidates", "is_stuck", "needs", "tasks")

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.tasks: list[tuple[int, int, TaskParcel]] = []  # a heap
        self.is_stuck = False  # it fitted nowhere; only a node that changed since can be of use
        self.candidates: list[ManagerId] = []  # of this round, last one first

    @property
    def key(self) -> tuple[float, int]:
        return self.needs.priority, self.tasks[0][0]


class Placing:
    """The tasks that wait for a node with what they need.

    Args:
        managers: the registered ones.
        slots: what they can take of tasks that say nothing.
    """

    def __init__(self, managers: Mapping[ManagerId, Known], slots: Slots) -> None:
        self._managers = managers
        self._slots = slots
        self._groups: dict[Needs, _Group] = {}
        self._changed: set[ManagerId] = set()
        self._kept: ManagerId | None = None
        """The node that is kept free for the first that waits."""

        self._shapes: dict[Hashable, Place] = {}
        """One of each kind of node that was ever there; blocks of one executor are taken to be alike."""

        self._count = 0

    def __len__(self) -> int:
        return sum(len(group.tasks) for group in self._groups.values())

    def __bool__(self) -> bool:
        return bool(self._groups)

    def add(self, parcels: Iterable[TaskParcel]) -> list[ResultParcel]:
        """Tasks with needs wait from now on; results of those that never fit."""
        for parcel in parcels:
            task = parcel[0]
            assert task.needs is not None
            group = self._groups.get(task.needs)
            if group is None:
                group = self._groups[task.needs] = _Group(task.needs)
            self._count += 1
            heapq.heappush(group.tasks, (task.id, self._count, parcel))
        return self._unfit()

    def joined(self, manager: ManagerId) -> list[ResultParcel]:
        """A manager registered; results of the tasks of which it is known now that they never fit."""
        place = self._managers[manager].place
        self._changed.add(manager)
        if place.shape in self._shapes:
            return []
        self._shapes[place.shape] = place
        return self._unfit()

    def taken_out(self, ids: Collection[int]) -> list[TaskParcel]:
        """Those of *ids* that waited here, and do no more."""
        dropped: list[TaskParcel] = []
        for group in list(self._groups.values()):
            ours = [parcel for number, _, parcel in group.tasks if number in ids]
            if ours:
                dropped += ours
                group.tasks = [entry for entry in group.tasks if entry[0] not in ids]
                heapq.heapify(group.tasks)
                self._drop_if_empty(group)
        return dropped

    def clear(self) -> None:
        """Nothing waits any more."""
        self._groups.clear()

    def ahead(self, task: int) -> int:
        """How many wait here that come before *task*; -1 if it does not wait here."""
        waiting = sorted(
            (group.needs.priority, number) for group in self._groups.values() for number, _, _ in group.tasks
        )
        return next((place for place, (_, number) in enumerate(waiting) if number == task), -1)

    def changed(self, manager: ManagerId, known: Known) -> None:
        """*manager* holds other tasks than before, or wants to: how many that say nothing it can take now."""
        if self._groups:
            self._changed.add(manager)
        if not known.is_active or manager == self._kept:
            self._slots.forget(manager)
        elif known.place.tasks:
            self._slots.put(manager, min(known.free_workers, known.place.room(known.others)))
        else:
            self._slots.update(manager, known.info.slots, known.window, len(known.held))

    def round(self, queue: deque[TaskParcel]) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        """Give out what fits, also of *queue*, whose tasks say nothing: what is yielded is on its way.

        Whoever takes what is yielded adds it to what the manager holds before he asks for more.
        """
        before = self._begin()
        heads = sorted(((group.key, group) for group in self._groups.values()), key=lambda head: head[0], reverse=True)
        is_first = flows = True  # nobody had to wait yet; those that say nothing did not
        while heads:
            key, group = heads[-1]
            leading = _leading(queue, key) if flows else 0
            if leading:
                flows = yield from self._flow(queue, leading)
                is_first = is_first and flows
                continue
            heads.pop()
            manager = self._place_for(group)
            if manager is not None:
                yield manager, [heapq.heappop(group.tasks)[2]]
                self.changed(manager, self._managers[manager])
                if group.tasks:
                    _insert(heads, (group.key, group))
            else:
                group.is_stuck = True
                if is_first:
                    is_first = False
                    self._keep_a_node(group.needs, before)
        for group in list(self._groups.values()):
            self._drop_if_empty(group)
        if flows:
            yield from self._flow(queue, len(queue))

    def _begin(self) -> ManagerId | None:
        """Let go of the node that was kept, which is returned, and say where each group may look."""
        before, self._kept = self._kept, None
        if before is not None and before in self._managers:
            self.changed(before, self._managers[before])
        for group in self._groups.values():
            group.candidates = [m for m in self._managers if not group.is_stuck or m in self._changed][::-1]
        self._changed = set()
        return before

    def _flow(self, queue: deque[TaskParcel], count: int) -> Generator[tuple[ManagerId, list[TaskParcel]], None, bool]:
        """Give out *count* tasks of *queue* as far as there is room; whether there was."""
        for manager, number in match(count, self._slots):
            count -= number
            yield manager, [queue.popleft() for _ in range(number)]
        return not count

    def _place_for(self, group: _Group) -> ManagerId | None:
        while group.candidates:
            manager = group.candidates[-1]
            known = self._managers[manager]
            if (
                manager != self._kept
                and known.is_active
                and known.free_workers > 0
                and known.place.can_hold(group.needs, known.others)
            ):
                return manager
            group.candidates.pop()  # in this round it will not have more than now
        return None

    def _keep_a_node(self, needs: Needs, before: ManagerId | None) -> None:
        """Of those that could run it, the one that was kept before, or else the one with the fewest tasks."""
        could = [m for m, known in self._managers.items() if known.is_active and known.place.could_hold(needs)]
        if could:
            self._kept = min(could, key=lambda manager: (manager != before, len(self._managers[manager].held)))
            self._slots.forget(self._kept)

    def _drop_if_empty(self, group: _Group) -> None:
        if group.tasks:
            return
        del self._groups[group.needs]
        if not self._groups and self._kept is not None:
            kept, self._kept = self._kept, None
            if kept in self._managers:
                self.changed(kept, self._managers[kept])

    def _unfit(self) -> list[ResultParcel]:
        """Results of the tasks that fit no node, once one is known."""
        results: list[ResultParcel] = []
        for group in list(self._groups.values()) if self._shapes else ():
            if any(place.could_hold(group.needs) for place in self._shapes.values()):
                continue
            words = "\n".join([told(group.needs), *map(str, self._shapes.values())])
            results += [(Result(n, ResultKind.DOES_NOT_FIT, words.encode()), NO_FRAMES) for n, _, _ in group.tasks]
            group.tasks = []
            self._drop_if_empty(group)
        return results


def _leading(queue: deque[TaskParcel], key: tuple[float, int]) -> int:
    """How many at the head of *queue* come before *key*."""
    count = 0
    for task, _ in queue:
        if (math.inf, task.id) > key or count == _LOOKED_AT:
            break
        count += 1
    return count


def _insert(heads: list[tuple[tuple[float, int], _Group]], head: tuple[tuple[float, int], _Group]) -> None:
    """Keep *heads* in order, the first to go last."""
    at = len(heads)
    while at and heads[at - 1][0] < head[0]:
        at -= 1
    heads.insert(at, head)
