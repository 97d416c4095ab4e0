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

from collections import deque
from typing import TYPE_CHECKING

from cnflow.interchange.actions import (
    Action,
    Refuse,
    SendCancel,
    SendDrain,
    SendHeartbeat,
    SendResults,
    SendStop,
    SendWork,
    TellDown,
    TellDrained,
    TellUp,
)
from cnflow.interchange.matching import Slots, match
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from cnflow.ids import FunctionId, ManagerId, TaskId
    from cnflow.units import Seconds
    from cnflow.wire.messages import Function, ManagerInfo, ResultParcel, TaskParcel


class _Manager:
    __slots__ = ("functions", "heard", "held", "idle_since", "info", "is_draining", "spoken")

    def __init__(self, info: ManagerInfo, now: Seconds) -> None:
        self.info = info
        self.held: set[TaskId] = set()
        self.functions: set[FunctionId] = set()
        self.heard = now
        self.spoken = now
        self.idle_since = now  # means something while nothing is held
        self.is_draining = False


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
        self._managers: dict[ManagerId, _Manager] = {}
        self._slots = Slots()
        self._draining: set[str] = set()
        """Blocks that get nothing more; those that are gone too, since a manager of one may yet come."""

    @property
    def queued(self) -> int:
        """Tasks that wait for a manager."""
        return len(self._queue)

    def held_by(self, manager: ManagerId) -> set[TaskId]:
        """Tasks that *manager* has and has not given back; empty for one that is not known."""
        known = self._managers.get(manager)
        return set(known.held) if known else set()

    def managers(self) -> list[ManagerId]:
        """The registered ones."""
        return list(self._managers)

    def submitted(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> None:
        """The driver sent *tasks*; *functions* are those that it had not sent before."""
        for function in functions:
            self._functions[function.id] = function  # type: ignore[index]  # ids are plain bytes on the wire
        self._queue.extend(tasks)

    def cancelled(self, ids: Collection[int], now: Seconds) -> list[Action]:
        """The driver wants these stopped. Those that are not here have ended, and were reported."""
        wanted = set(ids)
        dropped = [task.id for task, _ in self._queue if task.id in wanted]
        actions: list[Action] = []
        if dropped:
            self._queue = deque(parcel for parcel in self._queue if parcel[0].id not in wanted)
            actions.append(SendResults([(Result(number, ResultKind.CANCELLED, b""), NO_FRAMES) for number in dropped]))
        for manager, known in self._managers.items():
            held = sorted(known.held & wanted)
            if held:
                known.spoken = now
                actions.append(SendCancel(manager, [*held]))
        return actions

    def again(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> None:
        """As `submitted`, of tasks that an interchange before this one may have given to managers."""
        self.submitted(functions, tasks)

    def registered(
        self, manager: ManagerId, info: ManagerInfo, now: Seconds, held: Collection[TaskId] = ()
    ) -> list[Action]:
        """A manager said hello. It gets tasks once it has said how many it wants.

        What it *held* before is nothing that this interchange gave it (but see `Restarted`), and is stopped.
        """
        if info.protocol != self._protocol:
            return [
                Refuse(
                    manager,
                    f"the manager speaks protocol {info.protocol} (cnflow {info.cnflow}), the driver {self._protocol}: "
                    "rebuild the image's capsule with the driver's cnflow",
                ),
            ]
        actions = self._lose(manager, "it registered anew") if manager in self._managers else []
        self._managers[manager] = _Manager(info, now)
        actions.append(TellUp(manager, info))
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
        if not known.is_draining:
            self._slots.update(manager, known.info.slots, window, len(held))
        return [SendResults(ours)] if ours else []

    def heard(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """A manager said that it lives."""
        known = self._managers.get(manager)
        if known is None:
            return [Refuse(manager, "the interchange does not know this manager: it was silent too long")]
        known.heard = now
        return []

    def block_gone(self, block: str, reason: str) -> list[Action]:
        """The driver knows from its provider that *block* has ended."""
        gone = [manager for manager, known in self._managers.items() if known.info.block == block]
        return [action for manager in gone for action in self._lose(manager, reason)]

    def drain(self, block: str, now: Seconds) -> list[Action]:
        """The driver wants *block* to end once it has done what it has. Answered by TellDrained, perhaps at once."""
        self._draining.add(block)
        managers = [manager for manager, known in self._managers.items() if known.info.block == block]
        if not managers:
            return [TellDrained(block)]
        return [action for manager in managers for action in self._drain(manager, now)]

    def idle_times(self, now: Seconds) -> dict[str, float]:
        """Seconds since each block with managers held a task; 0 for one that holds some."""
        times: dict[str, float] = {}
        for known in self._managers.values():
            idle = 0.0 if known.held else now - known.idle_since
            times[known.info.block] = min(idle, times.get(known.info.block, idle))
        return times

    def left(self, manager: ManagerId, reason: str) -> list[Action]:
        """A manager said goodbye."""
        return self._lose(manager, reason)

    def dispatch(self, now: Seconds) -> list[Action]:
        """Call it after each round of events: give queued tasks to managers that have room."""
        if not self._queue:
            return []
        return [self._give(manager, count, now) for manager, count in match(len(self._queue), self._slots)]

    def ticked(self, now: Seconds) -> list[Action]:
        """Time passed: give up who is silent, greet who was not spoken to."""
        actions: list[Action] = []
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
        known = self._managers[manager]
        tasks = [self._queue.popleft() for _ in range(count)]
        known.held.update(task.id for task, _ in tasks)  # type: ignore[misc]  # plain numbers on the wire
        known.spoken = now
        unseen = {task.function for task, _ in tasks} - known.functions
        known.functions |= unseen  # type: ignore[arg-type]  # plain bytes on the wire
        return SendWork(manager, [self._functions[f] for f in sorted(unseen)], tasks)  # type: ignore[index]
