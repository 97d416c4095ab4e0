"""Decisions of an interchange that replaces one that was killed. No I/O, as in `state`.

The managers live on, and hold tasks that this interchange never saw. The driver does not know which manager holds what,
and submits all unfinished tasks again. So this interchange dispatches nothing before each manager that its predecessor
had has registered with the attempts that it holds, or 5 s have passed::

    driver                        this interchange                             managers of the predecessor
      ├── settings: awaited ────────> │                                                     │
      │                               │ <── Register(held), if it is so early ──────────────┤ (reconnect within 1 s)
      │                               │ put off until all unfinished tasks are known        │
      ├── Resubmit: all unfinished ─> │ waiting; the last message says so                   │
      │                               │ <── Register(held) ─────────────────────────────────┤
      │ <── ManagerUp ────────────────┤ attempts that wait: not waiting, held by it         │
      │                               ├── Cancel: those that do not ──────────────────────> │
      │                               │ <── Done: results, of tasks that it holds ──────────┤
      │ <── Results ──────────────────┤                                                     │
      │                               │                                                     │
      │        all have registered, or `REGISTRATION_TIMEOUT`: dispatch begins              │
      │                               │ <── Register(held), late ───────────────────────────┤
      │                               ├── Cancel: those of its tasks that others hold ────> │
      │        heartbeat_threshold: managers that are still awaited are lost                │
      │ <── ManagerDown ──────────────┤                                                     x
      │        none is awaited any more: tasks may be found to fit no node, managers to be of no use

The first manager that claims an attempt keeps it; a later claim is cancelled. Only managers that the driver had may
claim: no peer gets another's tasks by registering with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

from cnflow.interchange.actions import (
    Action,
    ReportManagerDown,
    SendRefused,
    SendRegisterAgain,
    SendStop,
    cancel_result,
    send_results,
)
from cnflow.interchange.state import NOTHING_HELD, Interchange
from cnflow.units import Seconds
from cnflow.wire.sent_functions import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, ManagerId, TaskId
    from cnflow.interchange.manager_record import ManagerRecord
    from cnflow.wire.function_messages import Function
    from cnflow.wire.manager_messages import ManagerInfo, StatusReport
    from cnflow.wire.messages import ResultParcel, Task, TaskParcel

    Event = Callable[[Seconds], list[Action]]

REGISTRATION_TIMEOUT = Seconds(5.0)
"""Wait for awaited managers before tasks are dispatched. ZeroMQ reconnects within a second; tasks of a manager that is
slower are sent to others."""

_NOT_BACK = "it did not register again after the interchange was restarted"


class Predecessor(NamedTuple):
    """Managers and blocks of the interchange that was killed, as the driver recorded them."""

    blocks: Iterable[BlockId]
    """Admitted blocks."""

    awaited: Mapping[ManagerId, BlockId]
    """Managers that were connected, and the block of each."""

    departed: Mapping[ManagerId, BlockId]
    """Managers that were lost before, and the block of each: their tasks run elsewhere."""

    keeps_unknown: bool = False
    """Managers may have tasks of another driver, which this one does not resubmit: they keep what they have."""

    is_adoption: bool = False
    """True if the interchange was another driver's, whose tasks this one does not resubmit."""


class RecoveringInterchange(Interchange):
    """State of a restarted interchange; the module has a picture.

    Args:
        protocol: as in `Interchange`.
        heartbeat_period: as in `Interchange`.
        heartbeat_threshold: as in `Interchange`; also the time after which awaited managers are lost.
        predecessor: that was killed.
        now: the moment of the start.
        sure_after: as in `Interchange`.
    """

    def __init__(
        self,
        protocol: int,
        heartbeat_period: Seconds,
        heartbeat_threshold: Seconds,
        predecessor: Predecessor,
        now: Seconds,
        *,
        sure_after: int = 1,
    ) -> None:
        super().__init__(protocol, heartbeat_period, heartbeat_threshold, predecessor.blocks, sure_after=sure_after)
        self._awaited = dict(predecessor.awaited)
        for manager, block in self._awaited.items():
            self._blocks.expect(manager, block)
        for manager, block in predecessor.departed.items():
            self._blocks.on_departed(manager, block)
        self._dispatch_at = Seconds(now + min(REGISTRATION_TIMEOUT, heartbeat_threshold))
        self._give_up_at = Seconds(now + heartbeat_threshold)
        self._waiting: dict[TaskId, TaskParcel] = {}
        """Tasks that no manager has claimed, until dispatch begins."""

        self._keeps_unknown = predecessor.keeps_unknown
        self._is_resubmitted = predecessor.is_adoption
        """The driver has sent all unfinished tasks."""

        self._is_dispatch_begun = self._are_all_back = self._scheduler.kinds.may_judge = False
        self._scheduler.deadlines.may_judge = False

        self._put_off: list[Event] = []
        """Events of managers from before that, in their order."""

        self._on_hold: set[ManagerId] = set()

    @property
    def is_putting_off(self) -> bool:
        """True while events of managers are kept for later: they must not be acknowledged."""
        return bool(self._put_off) or not self._is_resubmitted

    def is_dispatching(self, now: Seconds) -> bool:
        """True if tasks are sent to managers already."""
        return not self.is_putting_off and (not self._awaited or now >= self._dispatch_at)

    def is_gone(self, manager: ManagerId) -> bool:
        """Do as `Interchange.is_gone`; awaited managers may come."""
        return super().is_gone(manager) and manager not in self._awaited and not self.is_putting_off

    def status_report(self, number: int, task: TaskId, now: Seconds) -> StatusReport:
        """Do as `Interchange.status_report`; tasks that may yet be claimed count as queued."""
        report = super().status_report(number, task, now)
        if task in self._waiting:
            report.ahead = next(place for place, waiting in enumerate(self._waiting) if waiting == task)
        return report

    # Events of the driver

    def on_resubmitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, is_last: bool = True
    ) -> list[Action]:
        """Let unfinished tasks wait for managers that claim them. The driver sends all, and before any new task."""
        self._is_resubmitted = self._is_resubmitted or is_last
        self._wait(functions, [parcel for parcel in tasks if not self._is_held(parcel[0])])
        over = [manager for manager, block in self._awaited.items() if is_last and self._blocks.get(block) is None]
        return [action for manager in over for action in self._give_up(manager, "its block has ended")]

    def on_submitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, may_have_needs: bool = False
    ) -> list[Action]:
        """Queue new tasks, or new attempts of old ones."""
        if self._is_dispatch_begun:
            return super().on_submitted(functions, tasks, may_have_needs=may_have_needs)
        self._wait(functions, tasks)
        return []

    def forget_functions(self) -> None:
        """Do as `Interchange.forget_functions`; a task that may yet be claimed may have to run, too."""
        used = kept(self._functions, (task.function for task, _ in self._waiting.values()))
        super().forget_functions()
        self._functions.update(used)

    def on_cancelled(self, attempts: Mapping[TaskId, int], now: Seconds) -> list[Action]:
        """Cancel *attempts* of tasks. An awaited manager may have one of them: it is stopped when that registers."""
        removed = self._take_waiting(attempts)
        return [*send_results([cancel_result(task) for task, _ in removed]), *super().on_cancelled(attempts, now)]

    def on_block_gone(self, block: BlockId, reason: str, now: Seconds) -> list[Action]:
        """Remove the managers of a block that is over, also those that are awaited."""
        record = self._blocks.get(block)
        awaited = sorted(record.awaited) if record is not None else []
        actions = super().on_block_gone(block, reason, now)
        return actions + [action for manager in awaited for action in self._give_up(manager, reason)]

    def on_hold_requested(self, manager: ManagerId) -> None:
        """Send no more tasks to *manager*, also once an awaited one registers."""
        if manager in self._awaited:
            self._on_hold.add(manager)
        super().on_hold_requested(manager)

    def on_stop(self) -> list[Action]:
        """Do as `Interchange.on_stop`, and stop the managers that have connected but whose registration is put off."""
        self._waiting.clear()
        return [*super().on_stop(), *(SendStop(manager) for manager in self._awaited)]

    # Events of managers; those that come before all unfinished tasks are known wait for that

    def on_registered(
        self,
        manager: ManagerId,
        info: ManagerInfo,
        now: Seconds,
        held: Mapping[TaskId, int] = NOTHING_HELD,
        stopping: Mapping[TaskId, int] = NOTHING_HELD,
    ) -> list[Action]:
        """Register a new manager, or an awaited one with the tasks that it *held*."""
        if self.is_putting_off:
            return self._put_off_event(lambda at: self.on_registered(manager, info, at, held, stopping))
        if self._awaited.get(manager, info.block) != info.block:
            return [SendRefused(manager, "it has registered for another block before")]
        actions = super().on_registered(manager, info, now, held, stopping)
        if manager not in self._managers:
            return actions
        if self._awaited.pop(manager, None) is not None:
            self._managers[manager].was_ready = True  # how long its block had then is not known here
        if manager in self._on_hold:
            self._on_hold.discard(manager)
            self.on_hold_requested(manager)
        return actions

    def on_results(
        self, manager: ManagerId, window: int, results: Sequence[ResultParcel], now: Seconds, calls: int = 0
    ) -> list[Action]:
        """Do as `Interchange.on_results`."""
        if self.is_putting_off:
            return self._put_off_event(lambda at: self.on_results(manager, window, results, at, calls))
        return super().on_results(manager, window, results, now, calls)

    def on_heartbeat(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """Record that *manager* lives, or request its registration."""
        if self.is_putting_off:
            return self._put_off_event(lambda at: self.on_heartbeat(manager, at))
        return super().on_heartbeat(manager, now)

    def in_order(self, action: Action) -> list[Action]:
        """Return *action*, or keep it behind the events that are put off."""
        return self._put_off_event(lambda _: [action]) if self.is_putting_off else [action]

    def on_draining(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """Do as `Interchange.on_draining`."""
        if self.is_putting_off:
            return self._put_off_event(lambda at: self.on_draining(manager, at))
        return super().on_draining(manager, now)

    def on_manager_left(self, manager: ManagerId, reason: str) -> list[Action]:
        """Remove a manager that has ended, also one that is awaited."""
        if self.is_putting_off:
            return self._put_off_event(lambda _: self.on_manager_left(manager, reason))
        return self._give_up(manager, reason) if manager in self._awaited else super().on_manager_left(manager, reason)

    # Decisions

    def dispatch(self, now: Seconds) -> list[Action]:
        """Send queued tasks to managers, once all claims are made or the time for them is over."""
        actions: list[Action] = []
        if self._put_off and self._is_resubmitted:
            events, self._put_off = self._put_off, []
            actions += [action for event in events for action in event(now)]
        if not self.is_dispatching(now):
            return actions
        self._is_dispatch_begun = True
        if not self._are_all_back and not self._awaited:
            self._are_all_back = self._scheduler.kinds.may_judge = True
            self._scheduler.deadlines.judge()
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            actions += super().on_submitted((), waiting.values(), may_have_needs=True)
        return [*actions, *super().dispatch(now)]

    def on_late(self, seconds: float) -> None:
        """Count no silence of the last *seconds*, also not of awaited managers."""
        super().on_late(seconds)
        self._give_up_at = Seconds(self._give_up_at + seconds)

    def on_tick(self, now: Seconds, *, has_heard_all: bool = True) -> list[Action]:
        """Do as `Interchange.on_tick`, and give up awaited managers after the heartbeat threshold."""
        actions = super().on_tick(now, has_heard_all=has_heard_all)
        if now >= self._give_up_at and has_heard_all and not self.is_putting_off:
            for manager in list(self._awaited):
                actions += self._give_up(manager, _NOT_BACK)
        return actions

    def _on_unknown(self, manager: ManagerId) -> list[Action]:
        if manager in self._early or self._blocks.has_departed(manager):
            return super()._on_unknown(manager)
        return [SendRegisterAgain(manager)]

    def _wait(self, functions: Iterable[Function], parcels: Iterable[TaskParcel]) -> None:
        self._functions.update((function.id, function) for function in functions)
        self._waiting.update((parcel[0].id, parcel) for parcel in parcels)

    def _is_held(self, task: Task) -> bool:
        holder = self._holders.holder(task.id)
        return holder is not None and self._managers[holder].held[task.id] == task.attempt

    def _claim(
        self, manager: ManagerId, record: ManagerRecord, held: Mapping[TaskId, int], stopping: Mapping[TaskId, int]
    ) -> list[Action]:
        if self._keeps_unknown and manager in self._awaited:
            unknown = {
                task: attempt
                for task, attempt in held.items()
                if task not in self._waiting and self._holders.holder(task) is None
            }
            record.held.update(unknown)
            self._holders.on_held(manager, unknown)
        return super()._claim(manager, record, held, stopping)

    def _take_claimed(self, manager: ManagerId, claims: Mapping[TaskId, int]) -> list[TaskParcel]:
        if not claims or manager not in self._awaited:
            return []
        if self._is_dispatch_begun:
            return [*self._queue.remove(claims), *self._scheduler.remove(claims)]
        return self._take_waiting(claims)

    def _take_waiting(self, attempts: Mapping[TaskId, int]) -> list[TaskParcel]:
        known = ((task, self._waiting.get(task), attempt) for task, attempt in attempts.items())
        ours = [task for task, parcel, attempt in known if parcel is not None and parcel[0].attempt == attempt]
        return [self._waiting.pop(task) for task in ours]

    def _give_up(self, manager: ManagerId, reason: str) -> list[Action]:
        """Report an awaited manager as gone; the tasks that it held are in the queue, so that none is lost."""
        block = self._awaited.pop(manager)
        self._on_hold.discard(manager)
        return [ReportManagerDown(manager, reason, {}), *self._blocks.on_departed(manager, block)]

    def _put_off_event(self, event: Event) -> list[Action]:
        self._put_off.append(event)
        return []
