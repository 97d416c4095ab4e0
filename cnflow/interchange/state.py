"""Decisions of the interchange.

Rule 1: every decision of the interchange is made here; `loop` only moves bytes.
Rule 2: nothing here waits, reads a clock, logs or touches a socket.

Events are method calls that carry their moment and return actions. A task is in exactly one place: in the queue, held
by one manager, or reported to the driver::

    on_submitted ──> queued ────── dispatch ──────> held by a manager ── on_results ──> reported: SendResults
                       │      fewer tasks than         │        │
                       │      the window               │        └── on_cancelled: SendCancel; the manager's result
                       │                               │            follows (CANCELLED, or its value if it was faster)
                       ├── on_cancelled ─────> reported: SendResults (CANCELLED)
                       ├── fits no node ─────> reported: SendResults (DOES_NOT_FIT)
                       │                               │
                       ^                               └── manager gone ──> reported: ReportManagerDown
                       └────────────────────────────────────────────────────── the driver submits it again, or fails it

A manager::

    on_registered ──> registered ── on_results (window > 0) ──> active ──> on_hold_requested: on hold
      │     │                                                     │
      │     └── registers again, in a new session: tasks that     ├── on_drain_requested, on_draining: draining; the
      │         were on their way are returned to the driver      │   manager leaves once it has SendDrain and no task
      │                                                           v
      │         any of these ── on_manager_left, on_block_gone, silent past the threshold ──> gone, refused from now on
      │
      └── of another protocol, gone before, or of a block that is not admitted: SendRefused

`block_table` has a picture of a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.interchange.actions import (
    Action,
    ReportDrained,
    ReportManagerDown,
    ReportManagerUp,
    SendCancel,
    SendDrain,
    SendHeartbeat,
    SendRefused,
    SendResults,
    SendStop,
    SendTaskQuery,
    SendWork,
    cancel_result,
    merge_works,
    protocol_mismatch,
    send_results,
)
from cnflow.interchange.block_table import NOT_ADMITTED, UNKNOWN, BlockTable
from cnflow.interchange.early_managers import EarlyManager, EarlyManagers
from cnflow.interchange.heartbeats import TICKS, HeartbeatSchedule
from cnflow.interchange.holders import HolderIndex
from cnflow.interchange.manager_record import ManagerRecord, idle_times
from cnflow.interchange.manager_status import status_report
from cnflow.interchange.prepared_models import PreparedModels
from cnflow.interchange.scheduler.fifo import FreeSlots, fill_slots
from cnflow.interchange.scheduler.resource_aware import ResourceScheduler
from cnflow.units import Seconds
from cnflow.wire.messages import NO_FRAMES
from cnflow.wire.sent_functions import kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, FunctionId, ManagerId, TaskId
    from cnflow.wire.function_messages import Function
    from cnflow.wire.manager_messages import ManagerInfo, StatusReport, TaskQuery
    from cnflow.wire.messages import ResultParcel, TaskParcel

NOTHING_HELD: Mapping[TaskId, int] = {}


class Interchange:
    """State of the interchange; the module has its rules.

    Args:
        protocol: a manager with another protocol number is refused.
        heartbeat_period: a manager is sent a heartbeat if nothing else was sent to it for half of this.
        heartbeat_threshold: a manager that is silent for longer is lost.
        blocks: those that are admitted already.
        sure_after: number of blocks to see before a task is known to fit none; 1 where all nodes are alike.

    Attributes:
        places: managers that have items.
        data: plain tasks with items that wait.
    """

    def __init__(
        self,
        protocol: int,
        heartbeat_period: Seconds,
        heartbeat_threshold: Seconds,
        blocks: Iterable[BlockId] = (),
        *,
        sure_after: int = 1,
    ) -> None:
        self._protocol = protocol
        self._threshold = heartbeat_threshold
        self.tick_period = Seconds(heartbeat_period / TICKS)
        self._functions: dict[FunctionId, Function] = {}
        self._managers: dict[ManagerId, ManagerRecord] = {}
        self._holders = HolderIndex(self._managers)
        self._heartbeats = HeartbeatSchedule(self._managers, heartbeat_period, heartbeat_threshold)
        self._slots = FreeSlots()
        self._scheduler = ResourceScheduler(self._managers, self._slots, sure_after)
        self._queue, self.places, self.data = self._scheduler.queue, self._scheduler.places, self._scheduler.data
        self._blocks = BlockTable()
        self._early = EarlyManagers()
        self._models = PreparedModels()
        for block in blocks:
            self.on_admitted(block)
        self._are_all_back = True
        """False while a manager may be missing: none is drained as of no use, no task given up."""

    @property
    def is_putting_off(self) -> bool:
        """True while events of managers are kept for later, so that they must not be acknowledged."""
        return False

    def managers(self) -> list[ManagerId]:
        """Registered managers."""
        return list(self._managers)

    def idle_times(self, now: Seconds) -> dict[BlockId, float]:
        """Seconds since each block with managers held a task; 0 for a block that holds one."""
        return idle_times(self._managers.values(), now)

    def is_gone(self, manager: ManagerId) -> bool:
        """True if *manager* is none that is here, or may come again."""
        return manager not in self._managers and manager not in self._early

    def status_report(self, number: int, task: TaskId, now: Seconds) -> StatusReport:
        """Reply to a `StatusQuery`: the state of all managers, and the place of *task*."""
        return status_report(number, task, self._managers, self._holders, self._scheduler, now)

    def on_submitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, may_have_needs: bool = False
    ) -> list[Action]:
        """Queue *tasks*, perhaps with needs or items; *functions* are those that the driver did not send before."""
        self._functions.update((function.id, function) for function in functions)
        if not may_have_needs:
            self._queue.extend(tasks)
            return []
        return send_results(self._scheduler.add(tasks))

    def forget_functions(self) -> None:
        """Forget the functions of which no task waits; the driver sends them again with their next task."""
        self._functions = kept(self._functions, self._scheduler.functions())

    def on_cancelled(self, attempts: Mapping[TaskId, int], now: Seconds) -> list[Action]:
        """Cancel *attempts* of tasks. Those that are not here have ended, and were reported."""
        removed = [*self._queue.remove(attempts), *self._scheduler.remove(attempts)]
        actions = send_results([cancel_result(task) for task, _ in removed])
        for manager, held in self._holders.by_manager(attempts).items():
            self._managers[manager].last_sent = now
            actions.append(SendCancel(manager, held))
        return actions

    def on_admitted(self, block: BlockId) -> None:
        """Let managers of *block* register, until it is gone."""
        if self._blocks.admit(block):
            self._scheduler.kinds.on_requested(block)

    def on_registered(
        self,
        manager: ManagerId,
        info: ManagerInfo,
        now: Seconds,
        held: Mapping[TaskId, int] = NOTHING_HELD,
        stopping: Mapping[TaskId, int] = NOTHING_HELD,
    ) -> list[Action]:
        """Register a manager, or reconcile with what it has in a new session. It is sent tasks after its window.

        It has the attempts *held*, or their results; those that it should not have are cancelled. It has those in
        *stopping* until it has stopped them, and nobody waits for their results.
        """
        if info.protocol != self._protocol:
            return [SendRefused(manager, protocol_mismatch(info.protocol, info.cnflow, self._protocol))]
        if reason := self._blocks.refusal(manager, info.block):
            return [SendRefused(manager, reason)]
        if self._blocks.get(info.block) is None:
            self._early[manager] = EarlyManager(info, now, held, stopping)
            return []
        self._early.pop(manager, None)  # admitted since, and faster than the next dispatch
        self._blocks.on_registered(manager, info.block, info.nodes)
        actions: list[Action] = []
        record = self._managers.get(manager)
        if record is None:
            record = self._managers[manager] = ManagerRecord(info, now)
            self._heartbeats.add(manager)
            actions += [ReportManagerUp(manager, info), *send_results(self._scheduler.on_registered(manager, now))]
        else:
            actions += self._on_new_session(manager, record, held, now)
        actions += [*self._claim(manager, record, held, stopping), *self._models.on_registered(manager)]
        block = self._blocks.get(info.block)
        return [*actions, *self._drain(manager, now)] if block is not None and block.is_draining else actions

    def _on_new_session(
        self, manager: ManagerId, record: ManagerRecord, held: Mapping[TaskId, int], now: Seconds
    ) -> list[Action]:
        """Return to the driver the tasks that were lost with the manager's former session, on their way to it."""
        lost = record.on_new_session(held, now)
        self._holders.on_released(manager, [result.id for result in lost])
        self._scheduler.on_unavailable(manager)
        return send_results([(result, NO_FRAMES) for result in lost])

    def _claim(
        self, manager: ManagerId, record: ManagerRecord, held: Mapping[TaskId, int], stopping: Mapping[TaskId, int]
    ) -> list[Action]:
        """Keep those tasks that *manager* has and should have; cancel the others, and await their end."""
        claims = {task: attempt for task, attempt in held.items() if record.held.get(task) != attempt}
        ours = self._take_claimed(manager, claims)
        record.hold(ours, may_have_needs=True)
        self._scheduler.on_assigned(manager, ours)
        self._holders.on_held(manager, [task.id for task, _ in ours])
        for task, _ in ours:
            del claims[task.id]
        record.stopping = {**stopping, **claims}
        return [SendCancel(manager, claims)] if claims else []

    def _take_claimed(self, manager: ManagerId, claims: Mapping[TaskId, int]) -> list[TaskParcel]:  # noqa: ARG002
        """Take those tasks out of the queue that *manager* may claim; none, since nobody else sent it any."""
        return []

    def on_results(
        self, manager: ManagerId, window: int, results: Sequence[ResultParcel], now: Seconds, calls: int = 0
    ) -> list[Action]:
        """Forward *results* of a manager that wants to hold *window* tasks, and *calls* of models besides.

        A result of an attempt that the manager does not hold is dropped: it was reported lost, and the task may run
        elsewhere, or here on a later attempt.
        """
        record = self._managers.get(manager)
        if record is None:
            if manager in self._early:
                self._early[manager].window = window
            return self._on_unknown(manager)
        record.last_received = now
        ours, ends = record.on_results(results, now)
        if self._holders.is_made:
            self._holders.on_released(manager, (result.id for result, _ in ends))
        if not record.was_ready and window:
            record.was_ready = True
            self._scheduler.deadlines.on_ready(record.info.block, record.ends_at - now)
        record.window, record.wanted_calls = window, calls
        self._scheduler.on_ended(manager, ends)
        if record.timed:
            self._scheduler.deadlines.record_durations(record.timed, ends)
        if self._scheduler.has_others or self._scheduler.deadlines.has_deadlines:
            for parcel in ends:
                record.capacity.release(parcel[0].id)
            self._scheduler.on_changed(manager, record)
        elif record.is_active:
            self._slots.update(manager, record.info.slots, window, len(record.held))
        return [SendResults(ours)] if ours else []

    def on_heartbeat(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """Record that *manager* lives; any of its messages is a sign of life."""
        record = self._managers.get(manager)
        if record is None:
            return self._on_unknown(manager)
        record.last_received = now
        return []

    def _on_unknown(self, manager: ManagerId) -> list[Action]:
        return [] if manager in self._early else [SendRefused(manager, UNKNOWN)]

    def _register_early(self, now: Seconds) -> list[Action]:
        """Register the managers whose block was admitted after they had asked."""
        actions: list[Action] = []
        for manager, early in self._early.take_admitted(self._blocks):
            actions += self.on_registered(manager, early.info, now, early.held, early.stopping)
            actions += self.on_results(manager, early.window, [], now)
            actions += self.on_draining(manager, now) if early.is_draining else []
        return actions

    def on_block_gone(self, block: BlockId, reason: str, now: Seconds) -> list[Action]:
        """Remove the managers of a block that is over, and refuse those that still come."""
        record = self._blocks.get(block)
        self._blocks.remove(block)
        self._scheduler.kinds.on_forgotten(block, now)
        managers = sorted(record.managers) if record is not None else ()
        return [action for manager in managers for action in self._remove(manager, reason)]

    def on_drain_requested(self, block: BlockId, now: Seconds) -> list[Action]:
        """Drain the managers of *block*. ReportDrained follows when none is left, perhaps at once."""
        record = self._blocks.get(block)
        if record is None:
            return [ReportDrained(block)]
        record.is_draining = True
        if record.is_empty:
            return [ReportDrained(block)]
        return [action for manager in sorted(record.managers) for action in self._drain(manager, now)]

    def on_draining(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """Send no more tasks to a manager that drains by its own decision.

        The reply arrives after all that was sent before, and the manager leaves no earlier.
        """
        if manager in self._early:
            self._early[manager].is_draining = True
        actions = self.on_heartbeat(manager, now)
        return [*actions, *self._drain(manager, now)] if manager in self._managers else actions

    def on_hold_requested(self, manager: ManagerId) -> None:
        """Send no more tasks to *manager*; does nothing if it is gone."""
        record = self._managers.get(manager)
        if record is not None:
            record.is_on_hold = True
            self._scheduler.on_unavailable(manager)

    def on_prepare(self, functions: Sequence[Function]) -> list[Action]:
        """Have all managers, those that register later too, load these models before the first task of them."""
        return [*self._models.replace(functions, self._managers)]

    def on_task_query(self, query: TaskQuery, now: Seconds) -> list[Action]:
        """Forward *query* to its manager; drop it if that is gone."""
        if query.manager not in self._managers:
            return []
        self._managers[query.manager].last_sent = now
        return [SendTaskQuery(query.manager, query)]

    def on_manager_left(self, manager: ManagerId, reason: str) -> list[Action]:
        """Remove a manager that has ended by its own decision."""
        self._early.pop(manager, None)
        return self._remove(manager, reason)

    def on_late(self, seconds: float) -> None:
        """Count no silence of the last *seconds*: this process did not run, and could hear nobody."""
        self._heartbeats.on_late(seconds)

    def on_tick(self, now: Seconds, *, has_heard_all: bool = True) -> list[Action]:
        """Remove silent managers, send heartbeats, drain managers whose time is too short. Due every `tick_period`.

        Args:
            now: the moment.
            has_heard_all: False while messages of managers wait to be read: then nobody is silent.
        """
        actions = send_results(self._scheduler.fail_misfits(now)) if self._are_all_back else []
        near_end = self._scheduler.near_end(now) if self._are_all_back else []
        actions += [action for manager in near_end for action in self._drain(manager, now)]
        overdue = self._early.take_overdue(Seconds(now - self._threshold))
        actions += [SendRefused(manager, NOT_ADMITTED) for manager in overdue]
        silent, quiet = self._heartbeats.on_tick(now, has_heard_all=has_heard_all)
        for manager in silent:
            silence = now - self._managers[manager].last_received
            actions += self._remove(manager, f"silent for {silence:.0f} s")
        return [*actions, *map(SendHeartbeat, quiet)]

    def on_stop(self) -> list[Action]:
        """Drop the queue and stop all managers: the driver ends the run, or is gone."""
        self._scheduler.clear()
        return [SendStop(manager) for manager in (*self._managers, *self._early)]

    def dispatch(self, now: Seconds) -> list[Action]:
        """Send queued tasks to managers that can take them. Due after each round of events."""
        early = self._register_early(now) if self._early else []
        if self._scheduler.is_needed:
            works = merge_works(self._assign(manager, tasks, now) for manager, tasks in self._scheduler.schedule(now))
            return [*early, *send_results(self._scheduler.pop_unfit()), *works]
        if not self._queue:
            return early
        counts = fill_slots(len(self._queue), self._slots)
        return [*early, *(self._assign(manager, self._queue.take(count), now) for manager, count in counts)]

    def _assign(self, manager: ManagerId, tasks: list[TaskParcel], now: Seconds) -> SendWork:
        record = self._managers[manager]
        record.hold(tasks, may_have_needs=self._scheduler.has_others)
        if self._holders.is_made:
            self._holders.on_held(manager, (task.id for task, _ in tasks))
        if self._scheduler.has_others:
            self._scheduler.on_assigned(manager, tasks)
        record.last_sent = now
        functions, forgets = record.functions.add({task.function for task, _ in tasks}, self._functions)
        return SendWork(manager, functions, tasks, forgets)

    def _remove(self, manager: ManagerId, reason: str) -> list[Action]:
        record = self._managers.pop(manager, None)
        if record is None:
            return []
        self._scheduler.on_gone(manager)
        self._holders.on_released(manager, record.held)
        self._heartbeats.remove(manager)
        return [
            ReportManagerDown(manager, reason, dict(record.held)),
            *self._blocks.on_departed(manager, record.info.block, was_draining=record.is_draining),
        ]

    def _drain(self, manager: ManagerId, now: Seconds) -> list[Action]:
        record = self._managers[manager]
        record.is_draining = True
        record.last_sent = now
        self._scheduler.on_unavailable(manager)
        return [SendDrain(manager, record.info.block)]
