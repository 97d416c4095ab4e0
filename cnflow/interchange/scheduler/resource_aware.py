"""Which node runs a task that says what it needs; pure.

Tasks go in the order of their priority, then of their submission, those that say nothing included (they have no
priority, and come after all that have one). Whoever does not fit now is passed over, but for the first: a node is kept
free for it until it fits, so that a stream of small tasks does not keep a big one waiting for ever, nor the reverse.

Tasks of one function with the same needs wait together: if the first of them fits nowhere, no other does.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

from cnflow.interchange.scheduler.deadlines import DeadlineFilter
from cnflow.interchange.scheduler.fifo import match
from cnflow.interchange.scheduler.node import told
from cnflow.interchange.scheduler.task_groups import Group, insert, leading_in
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Generator, Hashable, Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.node import NodeCapacity
    from cnflow.units import Seconds
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel

_PASSED_OVER = 256
"""Tasks that are too long for a manager's time, and that it looks behind for shorter ones."""


class ResourceScheduler:
    """The tasks that wait for a node with what they need.

    Args:
        managers: the registered ones.
        slots: what they can take of tasks that say nothing.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord], slots: FreeSlots) -> None:
        self._managers = managers
        self._slots = slots
        self._groups: dict[Hashable, Group] = {}
        self._changed: set[ManagerId] = set()
        self._kept: ManagerId | None = None
        """The node that is kept free for the first that waits."""

        self._shapes: dict[Hashable, NodeCapacity] = {}
        """One of each kind of node that was ever there; blocks of one executor are taken to be alike."""

        self._count = 0
        self.timely = DeadlineFilter()
        self._hopeless: list[ResultParcel] = []

    def __len__(self) -> int:
        return sum(len(group.tasks) for group in self._groups.values())

    @property
    def is_needed(self) -> bool:
        """Whether what is given out has to be looked at, and not only counted."""
        return bool(self._groups) or self.timely.matters

    def add(self, parcels: Iterable[TaskParcel]) -> list[ResultParcel]:
        """Tasks with needs wait from now on; results of those that never fit."""
        for parcel in parcels:
            task = parcel[0]
            assert task.needs is not None
            key = task.needs, task.walltime, task.function
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = Group(task.needs, task)
            self._count += 1
            heapq.heappush(group.tasks, (task.id, self._count, parcel))
        return self._unfit()

    def joined(self, manager: ManagerId) -> list[ResultParcel]:
        """A manager registered; results of the tasks of which it is known now that they never fit."""
        place = self._managers[manager].place
        self.timely.joined(self._managers[manager].info.node.life)
        self._changed.add(manager)
        if place.shape in self._shapes:
            return []
        self._shapes[place.shape] = place
        return self._unfit()

    def taken_out(self, ids: Collection[TaskId]) -> list[TaskParcel]:
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

    def ahead(self, task: TaskId) -> int:
        """How many wait here that come before *task*; -1 if it does not wait here."""
        waiting = sorted(
            (group.needs.priority, number) for group in self._groups.values() for number, _, _ in group.tasks
        )
        return next((place for place, (_, number) in enumerate(waiting) if number == task), -1)

    def changed(self, manager: ManagerId, known: ManagerRecord) -> None:
        """*manager* holds other tasks than before, or wants to: how many that say nothing it can take now."""
        if self._groups:
            self._changed.add(manager)
        if not known.is_active or manager == self._kept:
            self._slots.forget(manager)
        elif known.place.tasks:
            self._slots.put(manager, min(known.free_workers, known.place.room(known.others)))
        else:
            self._slots.update(manager, known.info.slots, known.window, len(known.held))

    def round(self, queue: deque[TaskParcel], now: Seconds) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        """Give out what fits, also of *queue*, whose tasks say nothing: what is yielded is on its way.

        Whoever takes what is yielded adds it to what the manager holds before he asks for more.
        """
        before = self._begin()
        heads = sorted(((group.key, group) for group in self._groups.values()), key=lambda head: head[0], reverse=True)
        is_first = flows = True  # nobody had to wait yet; those that say nothing did not
        while heads:
            key, group = heads[-1]
            leading = leading_in(queue, key) if flows else 0
            if leading:
                flows = yield from self._flow(queue, leading, now)
                is_first = is_first and flows
                continue
            heads.pop()
            manager = self._place_for(group, now)
            if manager is not None:
                yield manager, [heapq.heappop(group.tasks)[2]]
                self.changed(manager, self._managers[manager])
                if group.tasks:
                    insert(heads, (group.key, group))
            else:
                group.is_stuck = True
                if is_first:
                    is_first = False
                    self._keep_a_node(group, before, now)
        for group in list(self._groups.values()):
            self._drop_if_empty(group)
        if flows:
            yield from self._flow(queue, len(queue), now)

    def _begin(self) -> ManagerId | None:
        """Let go of the node that was kept, which is returned, and say where each group may look."""
        before, self._kept = self._kept, None
        if before is not None and before in self._managers:
            self.changed(before, self._managers[before])
        for group in self._groups.values():
            group.candidates = [m for m in self._managers if not group.is_stuck or m in self._changed][::-1]
        self._changed = set()
        return before

    def _flow(
        self, queue: deque[TaskParcel], count: int, now: Seconds
    ) -> Generator[tuple[ManagerId, list[TaskParcel]], None, bool]:
        """Give out *count* tasks of *queue* as far as there is room and time; whether all are on their way."""
        in_vain: set[ManagerId] = set()
        is_all_told = False
        while count and not is_all_told:
            is_all_told = True
            for manager, number in match(count, self._slots):
                before = len(queue)
                parcels = self._in_time(queue, number, count, self._managers[manager], now)
                count -= before - len(queue)
                if parcels:
                    yield manager, parcels
                if len(parcels) < number:
                    in_vain.add(manager)
                    self._slots.forget(manager)
                    is_all_told = False  # others may take what this one could not
        for manager in in_vain:
            self.changed(manager, self._managers[manager])
        return not count

    def _in_time(
        self, queue: deque[TaskParcel], number: int, most: int, known: ManagerRecord, now: Seconds
    ) -> list[TaskParcel]:
        """Take up to *number* tasks out of the first *most* of *queue* that can end in time."""
        if known.ends_at == math.inf:
            return [queue.popleft() for _ in range(min(number, len(queue)))]
        taken: list[TaskParcel] = []
        passed_over: list[TaskParcel] = []
        for _ in range(min(most, number + _PASSED_OVER, len(queue))):
            if len(taken) == number:
                break
            parcel = queue.popleft()
            if self.timely.is_hopeless(parcel[0]):
                words = self._words(parcel[0]).encode()
                self._hopeless.append((Result(parcel[0].id, ResultKind.DOES_NOT_FIT, words), NO_FRAMES))
            elif self._is_in_time(parcel[0], known, now):
                taken.append(parcel)
            else:
                passed_over.append(parcel)
        queue.extendleft(reversed(passed_over))
        return taken

    def _words(self, task: Task) -> str:
        """What *task* asks for, and then what there is, for a message."""
        asked = [told(task.needs)] if task.needs is not None else []
        if self.timely.is_hopeless(task):
            asked.append(f"walltime={task.walltime:g}")
        return "\n".join([", ".join(filter(None, asked)), *map(str, self._shapes.values())])

    def _place_for(self, group: Group, now: Seconds) -> ManagerId | None:
        while group.candidates:
            manager = group.candidates[-1]
            known = self._managers[manager]
            if (
                manager != self._kept
                and known.is_active
                and known.free_workers > 0
                and known.place.can_hold(group.needs, known.others)
                and self._is_in_time(group.example, known, now)
            ):
                return manager
            group.candidates.pop()  # in this round it will not have more than now
        return None

    def _is_in_time(self, task: Task, known: ManagerRecord, now: Seconds) -> bool:
        return self.timely.fits(task, known.ends_at - now, known.info.node.life)

    def _keep_a_node(self, group: Group, before: ManagerId | None, now: Seconds) -> None:
        """Of those that could run it, the one that was kept before, or else the one with the fewest tasks."""
        could = [
            manager
            for manager, known in self._managers.items()
            if known.is_active and known.place.could_hold(group.needs) and self._is_in_time(group.example, known, now)
        ]
        if could:
            self._kept = min(could, key=lambda manager: (manager != before, len(self._managers[manager].held)))
            self._slots.forget(self._kept)

    def take_hopeless(self) -> list[ResultParcel]:
        """Results of tasks of which the last round showed that they fit no block; they are the caller's now."""
        hopeless, self._hopeless = self._hopeless, []
        return hopeless

    def useless(self, queue: deque[TaskParcel], now: Seconds) -> list[ManagerId]:
        """Managers that stand idle while tasks wait, since too little is left of their block's life."""
        if not (queue or self._groups):
            return []
        return [
            manager
            for manager, known in self._managers.items()
            if known.is_active and known.window and not known.held and known.ends_at - now < known.info.node.life / 2
        ]

    def _drop_if_empty(self, group: Group) -> None:
        if group.tasks:
            return
        del self._groups[group.needs, group.example.walltime, group.example.function]
        if not self._groups and self._kept is not None:
            kept, self._kept = self._kept, None
            if kept in self._managers:
                self.changed(kept, self._managers[kept])

    def _unfit(self) -> list[ResultParcel]:
        """Results of the tasks that fit no node, once one is known."""
        results: list[ResultParcel] = []
        for group in list(self._groups.values()) if self._shapes else ():
            is_hopeless = self.timely.is_hopeless(group.example)
            if not is_hopeless and any(place.could_hold(group.needs) for place in self._shapes.values()):
                continue
            words = self._words(group.example)
            results += [(Result(n, ResultKind.DOES_NOT_FIT, words.encode()), NO_FRAMES) for n, _, _ in group.tasks]
            group.tasks = []
            self._drop_if_empty(group)
        return results
