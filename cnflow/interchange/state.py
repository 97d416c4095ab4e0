"""Every decision of the interchange.

Rule 1: what is decided is decided here; `loop` only moves bytes.
Rule 2: nothing here waits, reads a clock, logs or touches a socket.

An event is a method call with the moment it happened; what is to be done comes back as actions. A task is always in
exactly one place: in the queue, held by one manager, or handed back to the driver as a result or as lost::

    submit ──> queue ──> held by a manager ──> result
                 ^              │
                 │              └──> lost (manager gone): the driver decides on another try
                 └── matching, whenever a manager holds fewer tasks than its window

A task that is cancelled in the queue is answered here; for one that a manager holds, the manager is told, and answers.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from cnflow.ids import ManagerId
from cnflow.interchange.actions import (
    Action,
    Refuse,
    SendCancel,
    SendDrain,
    SendHeartbeat,
    SendQuestion,
    SendResults,
    SendStop,
    SendWork,
    TellDown,
    TellDrained,
    TellUp,
    results_in,
)
from cnflow.interchange.manager_record import ManagerRecord, idle_times
from cnflow.interchange.scheduler.fifo import FreeSlots, match
from cnflow.interchange.scheduler.resource_aware import ResourceScheduler
from cnflow.wire.manager_messages import StatusReport
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cnflow.ids import BlockId, FunctionId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.manager_messages import ManagerInfo, TaskQuery
    from cnflow.wire.messages import Function, ResultParcel, TaskParcel


_NOBODY = ManagerId(b"")


class Interchange:
    """The state; see the module for its rules.

    Args:
        protocol: managers that speak another one are refused.
        heartbeat_period: a manager that nothing was sent to for this long is sent a heartbeat.
        heartbeat_threshold: a manager silent for longer is lost.
    """

    def __init__(self, protocol: int, heartbeat_period: Seconds, heartbeat_threshold: Seconds) -> None:
        self._protocol = protocol
        self._period = heartbeat_period
        self._threshold = heartbeat_threshold
        self._functions: dict[FunctionId, Function] = {}
        self._queue: deque[TaskParcel] = deque()
        self._managers: dict[ManagerId, ManagerRecord] = {}
        self._slots = FreeSlots()
        self._placing = ResourceScheduler(self._managers, self._slots)
        self._is_mixed = False
        """Some task has ever said what it needs."""

        self._draining: set[BlockId] = set()
        """Blocks that get nothing more; those that are gone too, since a manager of one may yet come."""

    @property
    def queued(self) -> int:
        """Tasks that wait for a manager."""
        return len(self._queue) + len(self._placing)

    def held_by(self, manager: ManagerId) -> set[TaskId]:
        """Tasks that *manager* has and has not given back; empty for one that is not known."""
        known = self._managers.get(manager)
        return set(known.held) if known else set()

    def managers(self) -> list[ManagerId]:
        """The registered ones."""
        return list(self._managers)

    def submitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, may_have_needs: bool = False
    ) -> list[Action]:
        """The driver sent *tasks*, of which some may have needs; *functions* are those that it had not sent before."""
        for function in functions:
            self._functions[function.id] = function
        if not may_have_needs:
            self._queue.extend(tasks)
            return []
        parcels = list(tasks)
        self._queue.extend(parcel for parcel in parcels if parcel[0].needs is None)
        needy = [parcel for parcel in parcels if parcel[0].needs is not None]
        self._is_mixed = self._is_mixed or bool(needy)
        return results_in(self._placing.add(needy))

    def cancelled(self, ids: Collection[TaskId], now: Seconds) -> list[Action]:
        """The driver wants these stopped. Those that are not here have ended, and were reported."""
        wanted = set(ids)
        dropped = [task.id for task, _ in self._queue if task.id in wanted]
        if dropped:
            self._queue = deque(parcel for parcel in self._queue if parcel[0].id not in wanted)
        dropped += [task.id for task, _ in self._placing.taken_out(wanted)]
        actions = results_in([(Result(number, ResultKind.CANCELLED, b""), NO_FRAMES) for number in dropped])
        for manager, known in self._managers.items():
            held = sorted(known.held & wanted)
            if held:
                known.spoken = now
                actions.append(SendCancel(manager, [*held]))
        return actions

    def registered(
        self, manager: ManagerId, info: ManagerInfo, now: Seconds, held: Collection[TaskId] = ()
    ) -> list[Action]:
        """A manager said hello. It gets tasks once it has said how many it wants.

        What it *held* before is nothing that this interchange gave it (but see `Restarted`), and is stopped.
        """
        if info.protocol != self._protocol:
            spoken = f"protocol {info.protocol} (cnflow {info.cnflow}), the driver {self._protocol}"
            advice = "rebuild the image's capsule with the driver's cnflow"
            return [Refuse(manager, f"the manager speaks {spoken}: {advice}")]
        actions = self._lose(manager, "it registered anew") if manager in self._managers else []
        self._managers[manager] = ManagerRecord(info, now)
        actions.append(TellUp(manager, info))
        actions += results_in(self._placing.joined(manager))
        if held:
            actions.append(SendCancel(manager, [*held]))
        return [*actions, *self._drain(manager, now)] if info.block in self._draining else actions

    def done(self, manager: ManagerId, window: int, results: Sequence[ResultParcel], now: Seconds) -> list[Action]:
        """A manager gave *results* back and is ready to hold *window* tasks in all.

        A result of a task that the manager does not hold is dropped: it was lost before and may be running elsewhere.
        """
        known = self._managers.get(manager)
        if known is None:
            return [Refuse(manager, "the interchange does not know this manager: it was silent too long")]
        known.heard = now
        held = known.held
        ours = []
        for parcel in results:
            if parcel[0].id in held:
                held.discard(parcel[0].id)
                ours.append(parcel)
        if ours and not held:
            known.idle_since = now
        known.window = window
        if known.began:
            self._placing.timely.learn(known.began, ours)
        if self._is_mixed:
            for parcel in ours:
                known.place.give_back(parcel[0].id)
            self._placing.changed(manager, known)
        elif known.is_active:
            self._slots.update(manager, known.info.slots, window, len(held))
        return [SendResults(ours)] if ours else []

    def heard(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """A manager said that it lives."""
        known = self._managers.get(manager)
        if known is None:
            return [Refuse(manager, "the interchange does not know this manager: it was silent too long")]
        known.heard = now
        return []

    def block_gone(self, block: BlockId, reason: str) -> list[Action]:
        """The driver knows from its provider that *block* has ended."""
        gone = [manager for manager, known in self._managers.items() if known.info.block == block]
        return [action for manager in gone for action in self._lose(manager, reason)]

    def drain(self, block: BlockId, now: Seconds) -> list[Action]:
        """The driver wants *block* to end once it has done what it has. Answered by TellDrained, perhaps at once."""
        self._draining.add(block)
        managers = [manager for manager, known in self._managers.items() if known.info.block == block]
        if not managers:
            return [TellDrained(block)]
        return [action for manager in managers for action in self._drain(manager, now)]

    def drains_itself(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """A manager wants nothing more; it leaves when it has given back what it has."""
        if manager in self._managers:
            self._managers[manager].is_draining = True
            self._slots.forget(manager)
        return self.heard(manager, now)

    def idle_times(self, now: Seconds) -> dict[BlockId, float]:
        """Seconds since each block with managers held a task; 0 for one that holds some."""
        return idle_times(self._managers.values(), now)

    def hold(self, manager: ManagerId) -> None:
        """The driver wants *manager* to be given nothing more; one that is gone is none."""
        known = self._managers.get(manager)
        if known is not None:
            known.is_on_hold = True
            self._slots.forget(manager)

    def standing(self, number: int, task: TaskId, now: Seconds) -> StatusReport:
        """The answer to a question: how the managers are, and where *task* is."""
        managers = [known.as_told(manager, now) for manager, known in self._managers.items()]
        holder = next((manager for manager, known in self._managers.items() if task in known.held), _NOBODY)
        queue = () if holder or task < 0 else self._queue  # it can be long: look through it only for a task in it
        ahead = next((place for place, (waiting, _) in enumerate(queue) if waiting.id == task), -1)
        ahead = self._placing.ahead(task) if ahead < 0 else ahead
        return StatusReport(number, managers, holder, ahead)

    def asked(self, question: TaskQuery, now: Seconds) -> list[Action]:
        """The driver wants to know something of a manager; one that is gone is not asked."""
        manager = question.manager
        if manager not in self._managers:
            return []
        self._managers[manager].spoken = now
        return [SendQuestion(manager, question)]

    def left(self, manager: ManagerId, reason: str) -> list[Action]:
        """A manager said goodbye."""
        return self._lose(manager, reason)

    def dispatch(self, now: Seconds) -> list[Action]:
        """Call it after each round of events: give queued tasks to managers that have room."""
        if (self._is_mixed or self._placing.timely.matters) and self._placing.is_needed:
            return self._dispatch_with_care(now)
        if not self._queue:
            return []
        return [self._give(manager, count, now) for manager, count in match(len(self._queue), self._slots)]

    def _dispatch_with_care(self, now: Seconds) -> list[Action]:
        sent: dict[ManagerId, SendWork] = {}
        for manager, parcels in self._placing.round(self._queue, now):
            for task, _ in parcels:
                if task.needs is not None:
                    self._managers[manager].place.take(task.id, task.needs)
            work = self._hand(manager, parcels, now)
            if manager in sent:
                sent[manager].functions.extend(work.functions)
                sent[manager].tasks.extend(work.tasks)
            else:
                sent[manager] = work
        return [*results_in(self._placing.take_hopeless()), *sent.values()]

    def ticked(self, now: Seconds) -> list[Action]:
        """Time passed: give up who is silent, greet who was not spoken to."""
        actions = [
            action for manager in self._placing.useless(self._queue, now) for action in self._drain(manager, now)
        ]
        for manager, known in list(self._managers.items()):
            silence = now - known.heard
            if silence > self._threshold:
                actions += self._lose(manager, f"silent for {silence:.0f} s")
            elif now - known.spoken >= self._period / 2:  # looked at twice a period: silence never reaches two
                known.spoken = now
                actions.append(SendHeartbeat(manager))
        return actions

    def stopped(self) -> list[Action]:
        """The driver ends the run, or is gone."""
        self._queue.clear()
        self._placing.clear()
        return [SendStop(manager) for manager in self._managers]

    def _lose(self, manager: ManagerId, reason: str) -> list[Action]:
        known = self._managers.pop(manager, None)
        if known is None:
            return []
        self._slots.forget(manager)
        actions: list[Action] = [TellDown(manager, reason, sorted(known.held))]
        block = known.info.block
        if known.is_draining and not any(other.info.block == block for other in self._managers.values()):
            actions.append(TellDrained(block))
        return actions

    def _drain(self, manager: ManagerId, now: Seconds) -> list[Action]:
        known = self._managers[manager]
        known.is_draining = True
        known.spoken = now
        self._slots.forget(manager)
        return [SendDrain(manager, known.info.block)]

    def _give(self, manager: ManagerId, count: int, now: Seconds) -> SendWork:
        return self._hand(manager, [self._queue.popleft() for _ in range(count)], now)

    def _hand(self, manager: ManagerId, tasks: list[TaskParcel], now: Seconds) -> SendWork:
        known = self._managers[manager]
        known.held.update(task.id for task, _ in tasks)
        known.spoken = now
        if known.ends_at < math.inf:
            known.began.update((task.id, task.function) for task, _ in tasks)
        unseen = {task.function for task, _ in tasks} - known.functions
        known.functions |= unseen
        return SendWork(manager, [self._functions[f] for f in sorted(unseen)], tasks)
