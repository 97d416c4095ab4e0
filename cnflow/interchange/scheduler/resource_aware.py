"""Assigns tasks to nodes that have the resources and the time for them. No I/O; the package has a picture.

Tasks are assigned in order of priority, then of submission; plain tasks have no priority and sort after all tasks that
have one. A task that fits no node now is passed over, and a node is reserved for the first such task until it fits:
a stream of small tasks does not starve a big task, nor the reverse.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Optional

from cnflow.interchange.scheduler.deadlines import DeadlineFilter
from cnflow.interchange.scheduler.fifo import fill_slots
from cnflow.interchange.scheduler.node import describe_needs
from cnflow.interchange.scheduler.task_groups import TaskGroup, count_before, insert_sorted
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Hashable, Iterable, Iterator, Mapping

    from cnflow.ids import ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.node import NodeCapacity
    from cnflow.interchange.scheduler.plain_queue import PlainQueue
    from cnflow.units import Seconds
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel

_MAX_PASSED_OVER = 256
"""Plain tasks too long for a manager's time that are passed over in search of shorter ones."""


class ResourceScheduler:
    """Waiting tasks with needs, and their assignment to nodes.

    Args:
        managers: the registered managers; the owner adds and removes.
        slots: number of plain tasks that each manager can take; kept up to date here.

    Attributes:
        deadlines: lives of blocks and durations of functions.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord], slots: FreeSlots) -> None:
        self._managers = managers
        self._slots = slots
        self._groups: dict[Hashable, TaskGroup] = {}
        self._changed: set[ManagerId] = set()
        """Managers whose tasks changed since the last round."""

        self._reserved: Optional[ManagerId] = None
        """Node that is kept free for the first task that waits."""

        self._shapes: dict[Hashable, NodeCapacity] = {}
        """One node of each kind that ever registered; later blocks of the executor are expected to be alike."""

        self._count = 0
        self.deadlines = DeadlineFilter()
        self._unfit: list[ResultParcel] = []

    def __len__(self) -> int:
        return sum(len(group.tasks) for group in self._groups.values())

    @property
    def is_needed(self) -> bool:
        """True if tasks must be assigned one by one; if not, `fill_slots` does."""
        return bool(self._groups) or self.deadlines.has_deadlines

    def add(self, parcels: Iterable[TaskParcel]) -> list[ResultParcel]:
        """Queue tasks with needs; return results of tasks that fit no node."""
        for parcel in parcels:
            task = parcel[0]
            assert task.needs is not None
            key = task.needs, task.walltime, task.function
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = TaskGroup(task.needs, task)
            self._count += 1
            heapq.heappush(group.tasks, (task.id, self._count, parcel))
        return self._remove_unfit()

    def on_registered(self, manager: ManagerId) -> list[ResultParcel]:
        """Handle a new manager; return results of tasks that fit no node."""
        capacity = self._managers[manager].capacity
        self.deadlines.on_registered(self._managers[manager].info.node.life)
        self._changed.add(manager)
        if capacity.shape in self._shapes:
            return []
        self._shapes[capacity.shape] = capacity
        return self._remove_unfit()

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        return self._pop(lambda task: attempts.get(task.id) == task.attempt)

    def pop(self, ids: Collection[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        return self._pop(lambda task: task.id in ids)

    def _pop(self, is_wanted: Callable[[Task], bool]) -> list[TaskParcel]:
        removed: list[TaskParcel] = []
        for group in list(self._groups.values()):
            ours = [parcel for _, _, parcel in group.tasks if is_wanted(parcel[0])]
            if ours:
                removed += ours
                group.tasks = [entry for entry in group.tasks if not is_wanted(entry[2][0])]
                heapq.heapify(group.tasks)
                self._drop_if_empty(group)
        return removed

    def clear(self) -> None:
        """Remove all waiting tasks."""
        self._groups.clear()

    def position(self, task: TaskId) -> int:
        """Number of tasks here that sort before *task*; -1 if it does not wait here."""
        waiting = sorted(
            (group.needs.priority, number) for group in self._groups.values() for number, _, _ in group.tasks
        )
        return next((place for place, (_, number) in enumerate(waiting) if number == task), -1)

    def on_changed(self, manager: ManagerId, record: ManagerRecord) -> None:
        """Recount the plain tasks that *manager* can take, after its tasks or its window changed."""
        if self._groups:
            self._changed.add(manager)
        if not record.is_active or manager == self._reserved:
            self._slots.remove(manager)
        elif record.capacity.allocations:
            self._slots.set_idle(manager, min(record.free_workers, record.capacity.free_slots(record.plain_tasks)))
        else:
            self._slots.update(manager, record.info.slots, record.window, len(record.held))

    def schedule(self, queue: PlainQueue, now: Seconds) -> Iterator[tuple[ManagerId, list[TaskParcel]]]:
        """Yield tasks that fit a manager, with that manager; plain tasks are taken from *queue*.

        The caller must add the yielded tasks to what the manager holds before it resumes the iterator.
        """
        previous = self._begin_round()
        heads = sorted(((group.key, group) for group in self._groups.values()), key=lambda head: head[0], reverse=True)
        is_first = has_slots = True  # no task waits yet; plain tasks have slots
        while heads:
            key, group = heads[-1]
            plain = count_before(queue, key) if has_slots else 0
            if plain:
                has_slots = yield from self._schedule_plain(queue, plain, now)
                is_first = is_first and has_slots
                continue
            heads.pop()
            manager = self._find_node(group, now)
            if manager is not None:
                yield manager, [heapq.heappop(group.tasks)[2]]
                self.on_changed(manager, self._managers[manager])
                if group.tasks:
                    insert_sorted(heads, (group.key, group))
            else:
                group.is_stuck = True
                if is_first:
                    is_first = False
                    self._reserve_node(group, previous, now)
        for group in list(self._groups.values()):
            self._drop_if_empty(group)
        if has_slots:
            yield from self._schedule_plain(queue, len(queue), now)

    def _begin_round(self) -> Optional[ManagerId]:
        """Release the reserved node, which is returned, and list the candidates of each group."""
        previous, self._reserved = self._reserved, None
        if previous is not None and previous in self._managers:
            self.on_changed(previous, self._managers[previous])
        for group in self._groups.values():
            group.candidates = [m for m in self._managers if not group.is_stuck or m in self._changed][::-1]
        self._changed = set()
        return previous

    def _schedule_plain(
        self, queue: PlainQueue, count: int, now: Seconds
    ) -> Generator[tuple[ManagerId, list[TaskParcel]], None, bool]:
        """Yield the first *count* tasks of *queue* as far as slots and time allow; return whether all were yielded."""
        refused: set[ManagerId] = set()
        is_complete = False
        while count and not is_complete:
            is_complete = True
            for manager, number in fill_slots(count, self._slots):
                before = len(queue)
                parcels = self._take_in_time(queue, number, count, self._managers[manager], now)
                count -= before - len(queue)
                if parcels:
                    yield manager, parcels
                if len(parcels) < number:
                    refused.add(manager)
                    self._slots.remove(manager)
                    is_complete = False  # other managers may have time for what this one could not take
        for manager in refused:
            self.on_changed(manager, self._managers[manager])
        return not count

    def _take_in_time(
        self, queue: PlainQueue, number: int, most: int, record: ManagerRecord, now: Seconds
    ) -> list[TaskParcel]:
        """Take up to *number* of the first *most* tasks of *queue*: those that can end before the manager's block."""
        if record.ends_at == math.inf:
            return queue.take(number)
        taken: list[TaskParcel] = []
        passed_over: list[TaskParcel] = []
        for parcel in queue.take(min(most, number + _MAX_PASSED_OVER)):
            if len(taken) == number:
                passed_over.append(parcel)
            elif self.deadlines.is_too_long(parcel[0]):
                self._unfit.append(_does_not_fit(parcel[0], self._explain(parcel[0])))
            elif self._is_in_time(parcel[0], record, now):
                taken.append(parcel)
            else:
                passed_over.append(parcel)
        queue.put_back(passed_over)
        return taken

    def _explain(self, task: Task) -> str:
        """Body of DOES_NOT_FIT: what *task* requests in the first line, then a line for each kind of node."""
        request = [describe_needs(task.needs)] if task.needs is not None else []
        if self.deadlines.is_too_long(task):
            request.append(f"walltime={task.walltime:g}")
        return "\n".join([", ".join(filter(None, request)), *map(str, self._shapes.values())])

    def _find_node(self, group: TaskGroup, now: Seconds) -> Optional[ManagerId]:
        while group.candidates:
            manager = group.candidates[-1]
            record = self._managers[manager]
            if (
                manager != self._reserved
                and record.is_active
                and record.free_workers > 0
                and record.capacity.fits(group.needs, record.plain_tasks)
                and self._is_in_time(group.example, record, now)
            ):
                return manager
            group.candidates.pop()  # its resources only shrink in this round
        return None

    def _is_in_time(self, task: Task, record: ManagerRecord, now: Seconds) -> bool:
        return self.deadlines.is_in_time(task, record.ends_at - now, record.info.node.life)

    def _reserve_node(self, group: TaskGroup, previous: Optional[ManagerId], now: Seconds) -> None:
        """Reserve a node that could run the group's first task: the *previous* one, or that with the fewest tasks."""
        candidates = [
            manager
            for manager, record in self._managers.items()
            if record.is_active
            and record.capacity.could_fit(group.needs)
            and self._is_in_time(group.example, record, now)
        ]
        if candidates:
            self._reserved = min(candidates, key=lambda m: (m != previous, len(self._managers[m].held)))
            self._slots.remove(self._reserved)

    def pop_unfit(self) -> list[ResultParcel]:
        """Remove and return the results of plain tasks that the last round found to fit no block."""
        unfit, self._unfit = self._unfit, []
        return unfit

    def near_end(self, queue: PlainQueue, now: Seconds) -> list[ManagerId]:
        """Managers that hold nothing while tasks wait, in the second half of their block's life."""
        if not (queue or self._groups):
            return []
        return [
            manager
            for manager, record in self._managers.items()
            if record.is_active
            and record.window
            and not record.held
            and record.ends_at - now < record.info.node.life / 2
        ]

    def _drop_if_empty(self, group: TaskGroup) -> None:
        if group.tasks:
            return
        del self._groups[group.needs, group.example.walltime, group.example.function]
        if not self._groups and self._reserved is not None:
            reserved, self._reserved = self._reserved, None
            if reserved in self._managers:
                self.on_changed(reserved, self._managers[reserved])

    def _remove_unfit(self) -> list[ResultParcel]:
        """Remove tasks that fit no kind of node, once a node is known; return their results."""
        results: list[ResultParcel] = []
        for group in list(self._groups.values()) if self._shapes else ():
            is_too_long = self.deadlines.is_too_long(group.example)
            if not is_too_long and any(capacity.could_fit(group.needs) for capacity in self._shapes.values()):
                continue
            reason = self._explain(group.example)
            results += [_does_not_fit(parcel[0], reason) for _, _, parcel in group.tasks]
            group.tasks = []
            self._drop_if_empty(group)
        return results


def _does_not_fit(task: Task, reason: str) -> ResultParcel:
    return Result(task.id, ResultKind.DOES_NOT_FIT, reason.encode(), attempt=task.attempt), NO_FRAMES
