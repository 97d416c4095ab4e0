"""Assigns tasks to nodes that have the resources and the time for them. No I/O; the package has a picture.

Tasks are assigned in order of priority, then of submission; plain tasks have no priority and sort after all tasks that
have one. A task that fits no node now is passed over, and nodes are reserved (`reservations`) until it fits: a stream
of small tasks does not starve a big task, nor the reverse.

Work grows with what changed, not with what waits or is connected. Between rounds this holds for each group of tasks::

    refused_at = v    the group's head fits no node that joined the index of free nodes at version v or before
    a node is freed ──> it joins at a new version ──> the next round compares it with the heads, in order
    a head leaves ────> the next one is alike, and is compared with newer nodes only
    a function becomes quicker, or a head with a shorter walltime follows ──> refused_at = -1: all are compared again

A manager whose block has no time for any plain task is set aside (`plain_rounds`) until a shorter task waits.

Plain tasks with items look for the manager of their data one by one, in order among the others (`data_queue`). A task
with needs prefers that manager, and waits for none.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Optional

from cnflow.interchange.scheduler.call_lanes import is_call, put_first_if_express
from cnflow.interchange.scheduler.deadlines import DeadlineFilter
from cnflow.interchange.scheduler.free_nodes import FreeNodes
from cnflow.interchange.scheduler.item_places import ItemPlaces, largest
from cnflow.interchange.scheduler.node_kinds import NodeKinds
from cnflow.interchange.scheduler.plain_rounds import PlainRounds
from cnflow.interchange.scheduler.reservations import MAX_GROUPS, Reservations
from cnflow.interchange.scheduler.task_groups import TaskGroups
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from cnflow.ids import FunctionId, ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.interchange.scheduler.fifo import FreeSlots
    from cnflow.interchange.scheduler.task_groups import SortKey, TaskGroup
    from cnflow.units import Seconds
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel

    Assignment = tuple[ManagerId, list[TaskParcel]]


class ResourceScheduler:
    """Waiting tasks, and their assignment to nodes.

    Args:
        managers: the registered managers; the owner adds and removes.
        slots: number of plain tasks that each manager can take; kept up to date here.
        sure_after: number of blocks to see before a task is known to fit none.

    Attributes:
        deadlines: lives of blocks and durations of functions.
        kinds: kinds of nodes that registered.
        queue: plain tasks that are no calls of models; those are `calls`.
        places: of items.
        data: plain tasks with items.
        has_others: some task so far had needs or items, or was a call; False saves the bookkeeping of these.
    """

    def __init__(self, managers: Mapping[ManagerId, ManagerRecord], slots: FreeSlots, sure_after: int = 1) -> None:
        self._managers = managers
        self._slots = slots
        self.deadlines = DeadlineFilter()
        self.kinds = NodeKinds(sure_after)
        self.places = ItemPlaces()
        self._plain = PlainRounds(managers, slots, self.deadlines, self.places, self.on_changed)
        self.queue, self.data, self.calls = self._plain.queue, self._plain.data, self._plain.calls
        self._groups = TaskGroups(self.deadlines)
        self._free = FreeNodes()
        self._changed: set[ManagerId] = set()
        """Managers whose place in the index of free nodes is to be updated before the next round."""

        self._reservations = Reservations(managers, self.deadlines)
        self._dispatched = 0
        self._ever_had_needs = self.has_others = False
        self._unfit: list[ResultParcel] = []

    def __len__(self) -> int:
        return len(self._groups) + len(self.data)

    @property
    def is_needed(self) -> bool:
        """True if tasks must be assigned one by one; if not, `fill_slots` does."""
        return self.is_by_resources or bool(len(self.data)) or bool(len(self.calls))

    @property
    def is_by_resources(self) -> bool:
        """True if some task has needs, or some block an end."""
        return bool(len(self._groups)) or self.deadlines.has_deadlines

    # Tasks

    def add(self, parcels: Iterable[TaskParcel]) -> list[ResultParcel]:
        """Queue tasks, each where it belongs; return results of tasks that fit no node for sure."""
        plain: list[TaskParcel] = []
        with_needs: list[TaskParcel] = []
        for parcel in parcels:
            task = parcel[0]
            if task.items:
                self.has_others = True
                self.places.on_submitted(task.items, self._managers)
            if task.needs is not None:
                put_first_if_express(task)
                with_needs.append(parcel)
            elif task.items:
                self.data.add(parcel)
            elif is_call(task):
                self.has_others = True
                self.calls.add(parcel)
            else:
                plain.append(parcel)
        self.queue.extend(plain)
        return self._add_with_needs(with_needs) if with_needs else []

    def _add_with_needs(self, parcels: Iterable[TaskParcel]) -> list[ResultParcel]:
        is_sure = self.kinds.is_sure()
        unfit: list[ResultParcel] = []
        self.has_others = True
        for parcel in parcels:
            if not self._ever_had_needs:
                self._ever_had_needs = True
                self._changed.update(self._managers)
            group = self._groups.add(parcel)
            demand = group.demand
            if demand.is_misfit is None:
                demand.is_misfit = not self.kinds.could_fit(demand.needs)
            if demand.is_misfit and is_sure:
                unfit += self._fail(group)
            elif self.deadlines.is_too_long(parcel[0]):
                self._groups.pop([parcel[0].id])
                unfit.append(self._does_not_fit(parcel[0]))
        return unfit

    def remove(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        """Remove and return those of *attempts* that wait here."""
        removed = [*self.calls.remove(attempts), *self.data.remove(attempts), *self._groups.remove(attempts)]
        self._release_empty()
        return removed

    def pop(self, ids: Collection[TaskId]) -> list[TaskParcel]:
        """Remove and return the tasks in *ids* that wait here, whatever their attempt."""
        removed = [*self.calls.pop(ids), *self.data.pop(ids), *self._groups.pop(ids)]
        self._release_empty()
        return removed

    def clear(self) -> None:
        """Remove all waiting tasks."""
        self._plain.clear()
        for group in list(self._groups):
            self._groups.pop_group(group)
        self._release_empty()

    def functions(self) -> set[FunctionId]:
        """Functions of the waiting tasks."""
        return {task.function for task, _ in itertools.chain(self._plain, self._groups.waiting())}

    def position(self, task: TaskId) -> int:
        """Number of tasks of its kind, with needs or plain, that sort before *task*; -1 if it does not wait here."""
        ahead = self._plain.position(task)
        return ahead if ahead >= 0 else self._groups.position(task)

    def pop_unfit(self) -> list[ResultParcel]:
        """Remove and return the results of tasks that the last round found to fit no block."""
        self._unfit += [self._does_not_fit(task) for task in self._plain.pop_too_long()]
        unfit, self._unfit = self._unfit, []
        return unfit

    # Managers

    def on_registered(self, manager: ManagerId, now: Seconds) -> list[ResultParcel]:
        """Handle a new manager; return results of tasks that fit no node for sure."""
        record = self._managers[manager]
        self.deadlines.on_registered(record.info.node.life)
        self._changed.add(manager)
        self.places.on_registered(manager, record.info.host)
        self._reservations.add_node(manager)
        if self.kinds.on_registered(record.info, record.capacity, now):
            for demand in self._groups.demands():
                demand.is_misfit = not self.kinds.could_fit(demand.needs)
        return self.fail_misfits(now)

    def on_changed(self, manager: ManagerId, record: ManagerRecord) -> None:
        """Recount the plain tasks that *manager* can take, after its tasks or its window changed."""
        if self._ever_had_needs:
            self._changed.add(manager)
        self._plain.late.discard(manager)
        if not record.is_active:
            self._slots.remove(manager)
        elif record.capacity.allocations or manager in self._reservations:
            kept = self._reservations.kept(manager)
            fit = record.capacity.free_slots(record.plain_tasks, kept)
            self._slots.set_idle(manager, min(record.free_workers - kept.workers, fit))
        elif self._slots.has_calls:
            slots, held = record.info.slots, len(record.held)
            self._slots.update_with_calls(manager, slots, record.window, held, record.call_count)
        else:
            self._slots.update(manager, record.info.slots, record.window, len(record.held))

    def on_assigned(self, manager: ManagerId, parcels: Iterable[TaskParcel]) -> None:
        """Record that *manager* has tasks: the index of free nodes is behind, and it is to have their items."""
        self._changed.add(manager)
        for task, _ in parcels:
            self.has_others = self.has_others or task.needs is not None or bool(task.items or task.rows)
            if task.items:
                self.places.on_had(manager, task.items)

    def on_ended(self, manager: ManagerId, parcels: Iterable[ResultParcel]) -> None:
        """Record what tasks have left with *manager*."""
        for result, _ in parcels:
            if result.items:
                self.places.on_had(manager, result.items)

    def on_gone(self, manager: ManagerId) -> None:
        """Do as `on_unavailable`, and forget what *manager* had."""
        self.on_unavailable(manager)
        self.places.on_manager_gone(manager)

    def on_unavailable(self, manager: ManagerId) -> None:
        """Send no more tasks to *manager*, which drains, is on hold or gone."""
        self._slots.remove(manager)
        self._free.remove(manager)
        self._changed.discard(manager)
        self._plain.late.discard(manager)
        self.data.on_unavailable(manager)
        self._reservations.remove_node(manager)

    def near_end(self, now: Seconds) -> list[ManagerId]:
        """Managers that hold nothing while tasks wait, in the second half of their block's life."""
        if not self.deadlines.has_deadlines or not (len(self._plain) or self._groups.count):
            return []
        self._update_free()
        idle = {*self._plain.late, *(self._free if self._groups.count else ()), *self._slots.idle}
        records = [(manager, self._managers[manager]) for manager in idle]
        return [
            manager
            for manager, record in records
            if record.is_active
            and record.window
            and not record.held
            and manager not in self._reservations
            and record.ends_at - now < record.info.node.life / 2
        ]

    def fail_misfits(self, now: Seconds) -> list[ResultParcel]:
        """Results of the waiting tasks that fit no node for sure, which are removed. Due at each tick."""
        misfits = [group for group in self._groups if group.demand.is_misfit] if self.kinds.is_sure(now) else []
        results = [result for group in misfits for result in self._fail(group)]
        self._release_empty()
        return results

    # Rounds

    def schedule(self, now: Seconds) -> Iterator[Assignment]:
        """Yield tasks that fit a manager, with that manager.

        The caller must add the yielded tasks to what the manager holds before it resumes the iterator.
        """
        self._begin_round(now)
        claimed: set[tuple[int, int, int, int]] = set()
        last_reserved = self._reservations.last()
        index = 0
        while (group := self._groups.at(index)) is not None:
            if self._slots and self._plain.is_before(group.sort_key):
                yield from self._schedule_plain(now, group.sort_key)
            if not self._free and index >= MAX_GROUPS:
                break
            if self._has_moved(group):
                continue
            manager = self._find_node(group, now, last_reserved)
            if manager is not None:
                released = self._reservations.release(group)
                yield manager, [self._groups.take_head(group)]
                self._dispatched += 1
                self._refresh([manager, *released])
            else:
                if index < MAX_GROUPS:
                    kinds = None if self._plain.is_before(group.sort_key) else claimed
                    self._refresh(self._reservations.reserve(group, kinds, self._dispatched, now))
                index += 1
        yield from self._schedule_plain(now, None)
        yield from self._counted(self._plain.wake_again(now))

    def _schedule_plain(self, now: Seconds, before: Optional[SortKey]) -> Iterator[Assignment]:
        """Yield plain tasks that sort *before* a key as far as slots and time allow."""
        yield from self._counted(self._plain.schedule(now, before))
        self._update_free()

    def _counted(self, assignments: Iterable[Assignment]) -> Iterator[Assignment]:
        for manager, parcels in assignments:
            yield manager, parcels
            self._dispatched += len(parcels)

    def _begin_round(self, now: Seconds) -> None:
        if self._reservations:
            self._refresh(self._reservations.release_useless(now))
        self._update_free()
        if self.deadlines.has_deadlines:
            self._free.round += 1
        self._plain.begin_round(now)

    def _update_free(self) -> None:
        """Bring the index of free nodes up to date."""
        if not self._groups.count:
            return
        for manager in self._changed:
            record = self._managers.get(manager)
            if record is not None and record.is_active:
                self._free.update(manager, record, self._reservations.kept(manager))
            else:
                self._free.remove(manager)
        self._changed = set()

    def _refresh(self, managers: Iterable[ManagerId]) -> None:
        """Bring the slots and the index up to date for *managers*, within a round."""
        for manager in managers:
            self.on_changed(manager, self._managers[manager])
        self._update_free()

    def _find_node(self, group: TaskGroup, now: Seconds, last_reserved: SortKey) -> Optional[ManagerId]:
        """Manager whose node fits the head of *group*; if there is none, it is compared with later changes only."""
        parcel = group.head
        assert parcel is not None
        task = parcel[0]
        for manager in group.reserved:
            if self._fits(manager, group, task, now):
                return manager
        for manager in self.places.best_holders(largest(task.items)) if task.items else ():
            if manager not in self._reservations and self._fits(manager, group, task, now):
                return manager
        found = self._find_free_node(group, task, now)
        if found is not None or group.sort_key >= last_reserved:
            return found
        return next((m for m in self._reservations.behind(group) if self._fits(m, group, task, now)), None)

    def _find_free_node(self, group: TaskGroup, task: Task, now: Seconds) -> Optional[ManagerId]:
        """Manager of a free node that fits *task*, the head of *group*, of those that it was not compared with yet."""
        seconds = self.deadlines.expected(task)
        if seconds < group.refused_seconds:
            group.refused_at = group.without_node_at = -1
        demand = group.demand
        newest, ends_at = demand.newest_fit(self._free), now + task.walltime
        if newest > group.refused_at and ends_at <= demand.ends_at + 1e-6:
            for bucket in self._free.newer_than(group.refused_at):
                if bucket.free.covers(demand.on(bucket.shape)):
                    for manager in bucket.nodes.in_time(seconds, now, has_walltime=bool(task.walltime)):
                        if self._is_in_time(task, self._managers[manager], now):
                            return manager
            if task.walltime:  # no free node has time for it: the others with these needs need not look
                demand.ends_at = min(demand.ends_at, ends_at - 1e-5)
        group.refused_at, group.refused_seconds = self._free.version, seconds
        return None

    def _has_moved(self, group: TaskGroup) -> bool:
        """Take a head out of *group* if it is too long for every block, or its duration became known or unknown."""
        parcel = group.head
        assert parcel is not None
        if parcel[0].walltime:
            if not self.deadlines.is_too_long(parcel[0]):
                return False
            self._unfit.append(self._does_not_fit(self._groups.take_head(group)[0]))
            self._refresh(self._reservations.release(group))
            return True
        if self.deadlines.key(parcel[0]) == group.key[1]:
            return False
        self._groups.regroup_head(group)
        self._refresh(self._reservations.release(group))
        return True

    def _fits(self, manager: ManagerId, group: TaskGroup, task: Task, now: Seconds) -> bool:
        record = self._managers[manager]
        return (
            record.is_active
            and record.free_workers > 0
            and record.capacity.fits(group.demand.needs, record.plain_tasks)
            and self._is_in_time(task, record, now)
        )

    def _is_in_time(self, task: Task, record: ManagerRecord, now: Seconds) -> bool:
        return self.deadlines.is_in_time(task, record.ends_at - now, record.info.node.life)

    # Tasks that fit nothing

    def _fail(self, group: TaskGroup) -> list[ResultParcel]:
        return [self._does_not_fit(parcel[0]) for parcel in self._groups.pop_group(group)]

    def _does_not_fit(self, task: Task) -> ResultParcel:
        reason = self.kinds.explain(task, self.deadlines.describe(task)).encode()
        return Result(task.id, ResultKind.DOES_NOT_FIT, reason, attempt=task.attempt), NO_FRAMES

    def _release_empty(self) -> None:
        """End the reservations of groups that have no task left; plain tasks may need their nodes at once."""
        if self._reservations:
            for manager in self._reservations.release_empty():
                self.on_changed(manager, self._managers[manager])
