"""Decisions of an interchange that replaces one that was killed. No I/O, as in `state`.

The managers live on, and hold tasks that this interchange never saw. The driver does not know which manager holds what,
and submits all unfinished tasks again. So this interchange first requests registration of the managers that its
predecessor had, and dispatches nothing before each has registered with the tasks that it holds, or 5 s have passed::

    driver                        this interchange                             managers of the predecessor
      ├── settings: awaited ────────> │                                                     │
      │                               ├── RegisterAgain, every 50 ms ─────────────────────> │ (reconnect within 1 s)
      ├── Resubmit: all unfinished ─> │ queue; tasks with needs apart                       │
      │                               │ <── Done: results that the predecessor did not get ─┤
      │ <── Results ──────────────────┤ claimed: removed from the queue                     │
      │                               │ <── Register(held) ─────────────────────────────────┤
      │ <── ManagerUp ────────────────┤ claimed: removed from the queue, held by it         │
      │                               │                                                     │
      │        all have registered, or `REGISTRATION_TIMEOUT`: dispatch begins              │
      │                               │ <── Register(held), late ───────────────────────────┤
      │                               ├── Cancel: those of its tasks that others hold ────> │
      │        heartbeat_threshold: managers that are still awaited are lost                │
      │ <── ManagerDown ──────────────┤                                                     x

The first manager that claims a task keeps it; a later claim is cancelled. Only managers that the driver had may claim:
no peer gets another's tasks by registering with them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cnflow.interchange.actions import (
    Action,
    ReportDrained,
    ReportManagerDown,
    SendCancel,
    SendRegisterAgain,
    SendResults,
    send_results,
)
from cnflow.interchange.state import NOTHING_HELD, Interchange, cancel_result
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, ManagerId, TaskId
    from cnflow.wire.manager_messages import ManagerInfo
    from cnflow.wire.messages import Function, ResultParcel, TaskParcel

REGISTRATION_TIMEOUT = Seconds(5.0)
"""Wait for awaited managers before tasks are dispatched. ZeroMQ reconnects within a second; tasks of a manager that is
slower are sent to others."""


class RecoveringInterchange(Interchange):
    """State of a restarted interchange; the module has a picture.

    Args:
        protocol: as in `Interchange`.
        heartbeat_period: as in `Interchange`.
        heartbeat_threshold: as in `Interchange`; also the time after which awaited managers are lost.
        awaited: managers that were connected, and the block of each.
        departed: managers that were lost before: their tasks run elsewhere.
        now: the moment of the start.
    """

    def __init__(
        self,
        protocol: int,
        heartbeat_period: Seconds,
        heartbeat_threshold: Seconds,
        *,
        awaited: Mapping[ManagerId, BlockId],
        departed: Iterable[ManagerId],
        now: Seconds,
    ) -> None:
        super().__init__(protocol, heartbeat_period, heartbeat_threshold)
        self._awaited = dict(awaited)
        self._awaited_in = Counter(awaited.values())
        """Number of awaited managers of each block."""

        self._departed = set(departed)
        self._dispatch_at = Seconds(now + min(REGISTRATION_TIMEOUT, heartbeat_threshold))
        self._give_up_at = Seconds(now + heartbeat_threshold)
        self._claimed: set[TaskId] = set()
        """Tasks that are reported or held: `on_resubmitted` does not queue them, and no manager may claim them."""

        self._claimed_in_queue: set[TaskId] = set()
        """Claimed tasks that may still be in the queue."""

        self._drained_early: set[BlockId] = set()
        """Blocks without a registered manager, of which a manager is awaited."""

        self._with_needs: dict[TaskId, TaskParcel] = {}
        """Tasks with needs that wait for all nodes: before, they may seem to fit none."""

        self._on_hold: set[ManagerId] = set()

    def registration_requests(self) -> list[Action]:
        """Request registration of all awaited managers, repeatedly: before a manager reconnects, requests are lost."""
        return [SendRegisterAgain(manager) for manager in self._awaited]

    def is_dispatching(self, now: Seconds) -> bool:
        """True if tasks are sent to managers already."""
        return not self._awaited or now >= self._dispatch_at

    def on_resubmitted(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> list[Action]:
        """Queue unfinished tasks that no manager has claimed. The driver sends all of them, and before any new task."""
        parcels = list(tasks)
        self._allocate_claimed(parcel for parcel in parcels if parcel[0].id in self._claimed)
        unclaimed = [parcel for parcel in parcels if parcel[0].id not in self._claimed]
        return self._enqueue(functions, unclaimed)

    def on_submitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, may_have_needs: bool = False
    ) -> list[Action]:
        """Queue new tasks, or new tries of old ones: claims of an earlier try do not apply to them."""
        self._remove_claimed()
        if may_have_needs and self._awaited:
            return self._enqueue(functions, list(tasks))
        return super().on_submitted(functions, tasks, may_have_needs=may_have_needs)

    def on_cancelled(self, attempts: Mapping[TaskId, int], now: Seconds) -> list[Action]:
        """Cancel tasks. An awaited manager may hold one that is reported here: it is stopped when that registers."""
        self._remove_claimed()
        actions = super().on_cancelled(attempts, now)
        removed = [task for task, _ in self._with_needs.values() if attempts.get(task.id) == task.attempt]
        for task in removed:
            del self._with_needs[task.id]
        actions += send_results([cancel_result(task) for task in removed])
        self._claim_reported(actions)
        return actions

    def on_registered(
        self, manager: ManagerId, info: ManagerInfo, now: Seconds, held: Mapping[TaskId, int] = NOTHING_HELD
    ) -> list[Action]:
        """Register a new manager, or an awaited one with the tasks that it *held*."""
        may_claim = manager in self._awaited
        actions = super().on_registered(manager, info, now)
        if manager not in self._managers:
            return actions
        ours = self._drop_claimed(held, now) if may_claim else set()
        self._managers[manager].held.update((task, held[task]) for task in ours)
        self._holders.on_held(manager, ours)
        self._claim(ours)
        if manager in self._on_hold:
            self.on_hold_requested(manager)
        if late := {task: attempt for task, attempt in held.items() if task not in ours}:
            actions.append(SendCancel(manager, late))
        return [*actions, *self._stop_awaiting(manager)]

    def on_results(
        self, manager: ManagerId, window: int, results: Sequence[ResultParcel], now: Seconds
    ) -> list[Action]:
        """Forward *results*, also those that an awaited manager sends before it registers."""
        if manager in self._managers or manager in self._departed:
            actions = super().on_results(manager, window, results, now)
            if self._awaited:
                self._claim_reported(actions)
            return actions
        ids = [result.id for result, _ in results]
        unclaimed = self._drop_claimed(ids, now) if manager in self._awaited else set()
        ours = {result.id: (result, frames) for result, frames in results if result.id in unclaimed}
        self._claim(unclaimed)
        request = SendRegisterAgain(manager)
        return [SendResults(list(ours.values())), request] if ours else [request]

    def on_heartbeat(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """Record that *manager* lives, or request its registration."""
        if manager in self._managers or manager in self._departed:
            return super().on_heartbeat(manager, now)
        return [SendRegisterAgain(manager)]

    def on_manager_left(self, manager: ManagerId, reason: str) -> list[Action]:
        """Remove a manager that has ended, also one that is awaited."""
        return self._give_up(manager, reason) if manager in self._awaited else super().on_manager_left(manager, reason)

    def on_block_gone(self, block: BlockId, reason: str) -> list[Action]:
        """Remove the managers of a block that has ended, also those that are awaited."""
        actions = super().on_block_gone(block, reason)
        awaited = [manager for manager, its in self._awaited.items() if its == block]
        return actions + [action for manager in awaited for action in self._give_up(manager, reason)]

    def on_drain_requested(self, block: BlockId, now: Seconds) -> list[Action]:
        """Drain the managers of *block*, which is not drained while one of them is awaited."""
        return self._defer_drained(super().on_drain_requested(block, now))

    def on_hold_requested(self, manager: ManagerId) -> None:
        """Send no more tasks to *manager*, also once an awaited one registers."""
        self._on_hold.add(manager)
        super().on_hold_requested(manager)

    def dispatch(self, now: Seconds) -> list[Action]:
        """Send queued tasks to managers, once all claims are made or the time for them is over."""
        if not self.is_dispatching(now):
            return []
        self._remove_claimed()
        actions: list[Action] = []
        if self._with_needs and not self._awaited:
            with_needs, self._with_needs = self._with_needs, {}
            actions = super().on_submitted([], with_needs.values(), may_have_needs=True)
        return [*actions, *super().dispatch(now)]

    def on_late(self, seconds: float) -> None:
        """Count no silence of the last *seconds*, also not of awaited managers."""
        super().on_late(seconds)
        self._give_up_at = Seconds(self._give_up_at + seconds)

    def on_tick(self, now: Seconds, *, has_heard_all: bool = True) -> list[Action]:
        """Do as `Interchange.on_tick`, and give up awaited managers after the heartbeat threshold."""
        actions = super().on_tick(now, has_heard_all=has_heard_all)
        if now >= self._give_up_at and has_heard_all:
            for manager in list(self._awaited):
                actions += self._give_up(manager, "it did not register again after the interchange was restarted")
        return actions

    def _enqueue(self, functions: Iterable[Function], parcels: Sequence[TaskParcel]) -> list[Action]:
        """Queue *parcels*; those with needs wait apart while managers are awaited."""
        if self._awaited:
            self._with_needs.update((parcel[0].id, parcel) for parcel in parcels if parcel[0].needs is not None)
            parcels = [parcel for parcel in parcels if parcel[0].needs is None]
        return super().on_submitted(functions, parcels, may_have_needs=True)

    def _remove(self, manager: ManagerId, reason: str) -> list[Action]:
        if manager in self._managers:
            self._departed.add(manager)
        return self._defer_drained(super()._remove(manager, reason))

    def _give_up(self, manager: ManagerId, reason: str) -> list[Action]:
        """Report an awaited manager as gone; the tasks that it held are in the queue, so that none is lost."""
        self._departed.add(manager)
        return [ReportManagerDown(manager, reason, {}), *self._stop_awaiting(manager)]

    def _stop_awaiting(self, manager: ManagerId) -> list[Action]:
        """Await *manager* no longer; report its block as drained if that was deferred and no manager is left."""
        block = self._awaited.pop(manager, None)
        if block is None:
            return []
        self._awaited_in[block] -= 1
        if self._awaited_in[block] or block not in self._drained_early:
            return []
        self._drained_early.remove(block)
        has_managers = any(record.info.block == block for record in self._managers.values())
        return [] if has_managers else [ReportDrained(block)]

    def _defer_drained(self, actions: list[Action]) -> list[Action]:
        """Take out of *actions*, for later, the reports that blocks with awaited managers are drained."""
        reports = {action.block for action in actions if isinstance(action, ReportDrained)}
        early = {block for block in reports if self._awaited_in[block]}
        self._drained_early |= early
        return [action for action in actions if not (isinstance(action, ReportDrained) and action.block in early)]

    def _drop_claimed(self, tasks: Iterable[TaskId], now: Seconds) -> set[TaskId]:
        """Return *tasks* without those that are claimed or held."""
        unclaimed = set(tasks) - self._claimed
        if unclaimed and self.is_dispatching(now):  # tasks may have been sent to managers
            unclaimed = {task for task in unclaimed if self._holders.holder(task) is None}
        return unclaimed

    def _claim(self, tasks: set[TaskId]) -> None:
        self._claimed |= tasks
        self._claimed_in_queue |= tasks

    def _claim_reported(self, actions: list[Action]) -> None:
        """Mark reported tasks as claimed: an awaited manager may hold them, too."""
        for action in actions:
            if isinstance(action, SendResults):
                self._claimed.update(result.id for result, _ in action.results)

    def _remove_claimed(self) -> None:
        """Remove claimed tasks from the queue; not at each claim, because many managers register at the same time."""
        if self._claimed_in_queue:
            self._queue.pop(self._claimed_in_queue)
            self._allocate_claimed(self._scheduler.pop(self._claimed_in_queue))
        for number in self._claimed_in_queue & self._with_needs.keys():
            self._allocate_claimed([self._with_needs.pop(number)])
        self._claimed_in_queue = set()

    def _allocate_claimed(self, parcels: Iterable[TaskParcel]) -> None:
        """Allocate the resources of claimed tasks on the nodes of the managers that hold them."""
        for task, _ in parcels:
            holder = None if task.needs is None else self._holders.holder(task.id)
            if task.needs is not None and holder is not None:
                self._ever_had_needs = True
                self._managers[holder].capacity.allocate(task.id, task.needs)
