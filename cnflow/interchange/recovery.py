"""Decisions of an interchange that takes the place of one that was killed; pure, as `state`.

The managers live on, and hold tasks that this interchange never saw. The driver does not know who holds what: it sends
all that is unfinished again. So this interchange first asks the managers that its predecessor knew, and gives nothing
out until each has said what it holds, or the time for it is over::

    driver: Again ──> queue ──(a manager says that it holds it, or that it is done)──> out of the queue
                        └──> given out, once all managers have spoken

Whoever claims a task first keeps it; where it is claimed late it is cancelled. Only a manager that the driver knew may
claim at all: nobody gets at another's tasks by saying that he has them.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from cnflow.interchange.actions import Action, SendCancel, SendRegisterAgain, SendResults, TellDown, TellDrained
from cnflow.interchange.state import Interchange
from cnflow.units import Seconds
from cnflow.wire.messages import NO_FRAMES, Result
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from cnflow.ids import BlockId, ManagerId, TaskId
    from cnflow.wire.manager_messages import ManagerInfo
    from cnflow.wire.messages import Function, ResultParcel, TaskParcel

ALL_SPEAK_WITHIN = Seconds(5.0)
"""ZeroMQ tries again each second at the latest; who is slower finds his tasks given to others."""


class RecoveringInterchange(Interchange):
    """The state; see the module.

    Args:
        protocol: as in `Interchange`, and so are the next two.
        heartbeat_period: as there.
        heartbeat_threshold: as there; also how long a manager may take to come back.
        awaited: managers that were connected, and the block of each.
        departed: managers that were lost before: what they held runs elsewhere.
        now: when it began.
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
        self._blocks = Counter(awaited.values())
        """How many managers of each block are awaited."""

        self._departed = set(departed)
        self._given_out_from = Seconds(now + min(ALL_SPEAK_WITHIN, heartbeat_threshold))
        self._until = Seconds(now + heartbeat_threshold)
        self._claimed: set[TaskId] = set()
        """Tasks that are answered, or that a manager has: not to be queued by `again`, nor claimed once more."""

        self._unsifted: set[TaskId] = set()
        """Those of them that may still be in the queue."""

        self._perhaps_drained: set[BlockId] = set()
        self._needy: dict[TaskId, TaskParcel] = {}
        """Tasks that say what they need: before all nodes are back, they may seem to fit none."""

        self._on_hold: set[ManagerId] = set()

    def introductions(self) -> list[Action]:
        """Ask those that have not come back; what is said to one that is not connected yet is not heard."""
        return [SendRegisterAgain(manager) for manager in self._awaited]

    def is_settled(self, now: Seconds) -> bool:
        """Whether tasks are given out."""
        return not self._awaited or now >= self._given_out_from

    def again(self, functions: Iterable[Function], tasks: Iterable[TaskParcel]) -> list[Action]:
        """The driver sent what is unfinished; all of it, before it submits anything."""
        parcels = list(tasks)
        self._take_places(parcel for parcel in parcels if parcel[0].id in self._claimed)
        free = [parcel for parcel in parcels if parcel[0].id not in self._claimed]
        return self._queue_up(functions, free)

    def submitted(
        self, functions: Iterable[Function], tasks: Iterable[TaskParcel], *, may_have_needs: bool = False
    ) -> list[Action]:
        """New tasks, or new tries of old ones: what was claimed before is not meant."""
        self._sift()
        if may_have_needs and self._awaited:
            return self._queue_up(functions, list(tasks))
        return super().submitted(functions, tasks, may_have_needs=may_have_needs)

    def cancelled(self, ids: Collection[TaskId], now: Seconds) -> list[Action]:
        """A task that is answered here may be with a manager that is still to come back: it is stopped then."""
        self._sift()
        actions = super().cancelled(ids, now)
        if dropped := self._needy.keys() & set(ids):
            actions.append(SendResults([(Result(number, ResultKind.CANCELLED, b""), NO_FRAMES) for number in dropped]))
            self._needy = {number: parcel for number, parcel in self._needy.items() if number not in dropped}
        self._note_answers(actions)
        return actions

    def registered(
        self, manager: ManagerId, info: ManagerInfo, now: Seconds, held: Collection[TaskId] = ()
    ) -> list[Action]:
        """A new manager, or one that comes back with what it *held*."""
        may_claim = manager in self._awaited
        actions = super().registered(manager, info, now)
        if manager not in self._managers:
            return actions
        ours = self._free(held, now) if may_claim else set()
        self._managers[manager].held |= ours
        self._claim(ours)
        if manager in self._on_hold:
            self.hold(manager)
        if late := set(held) - ours:
            actions.append(SendCancel(manager, sorted(late)))
        return [*actions, *self._came(manager)]

    def done(self, manager: ManagerId, window: int, results: Sequence[ResultParcel], now: Seconds) -> list[Action]:
        """Also what a manager that is still to register had finished before it heard of the restart."""
        if manager in self._managers or manager in self._departed:
            actions = super().done(manager, window, results, now)
            if self._awaited:
                self._note_answers(actions)
            return actions
        ids = [result.id for result, _ in results]
        free = self._free(ids, now) if manager in self._awaited else set()
        ours = {result.id: (result, frames) for result, frames in results if result.id in free}
        self._claim(free)
        introduce = SendRegisterAgain(manager)
        return [SendResults(list(ours.values())), introduce] if ours else [introduce]

    def heard(self, manager: ManagerId, now: Seconds) -> list[Action]:
        """A manager that is still to register is asked to."""
        if manager in self._managers or manager in self._departed:
            return super().heard(manager, now)
        return [SendRegisterAgain(manager)]

    def left(self, manager: ManagerId, reason: str) -> list[Action]:
        """Also of one that has not come back: it ended meanwhile."""
        return self._gone(manager, reason) if manager in self._awaited else super().left(manager, reason)

    def block_gone(self, block: BlockId, reason: str) -> list[Action]:
        """Nor do those managers of it come back that are awaited."""
        actions = super().block_gone(block, reason)
        awaited = [manager for manager, its in self._awaited.items() if its == block]
        return actions + [action for manager in awaited for action in self._gone(manager, reason)]

    def drain(self, block: BlockId, now: Seconds) -> list[Action]:
        """A block is not drained before all its managers have spoken."""
        return self._held_back(super().drain(block, now))

    def hold(self, manager: ManagerId) -> None:
        """Also one that is still to come back."""
        self._on_hold.add(manager)
        super().hold(manager)

    def dispatch(self, now: Seconds) -> list[Action]:
        """Nothing before it is settled who holds what."""
        if not self.is_settled(now):
            return []
        self._sift()
        actions: list[Action] = []
        if self._needy and not self._awaited:
            needy, self._needy = self._needy, {}
            actions = super().submitted([], needy.values(), may_have_needs=True)
        return [*actions, *super().dispatch(now)]

    def ticked(self, now: Seconds) -> list[Action]:
        """Also gives up who has not come back."""
        actions = super().ticked(now)
        if now >= self._until:
            for manager in list(self._awaited):
                actions += self._gone(manager, "it did not come back after the interchange was restarted")
        return actions

    def _queue_up(self, functions: Iterable[Function], parcels: Sequence[TaskParcel]) -> list[Action]:
        """Those that say what they need apart, while nodes may come back."""
        if self._awaited:
            self._needy.update((parcel[0].id, parcel) for parcel in parcels if parcel[0].needs is not None)
            parcels = [parcel for parcel in parcels if parcel[0].needs is None]
        return super().submitted(functions, parcels, may_have_needs=True)

    def _lose(self, manager: ManagerId, reason: str) -> list[Action]:
        if manager in self._managers:
            self._departed.add(manager)
        return self._held_back(super()._lose(manager, reason))

    def _gone(self, manager: ManagerId, reason: str) -> list[Action]:
        """*manager* is awaited no more, and not there: what it held is in the queue."""
        self._departed.add(manager)
        return [TellDown(manager, reason, []), *self._came(manager)]

    def _came(self, manager: ManagerId) -> list[Action]:
        """*manager* is awaited no more: once nobody of its block is, it is known whether that is drained."""
        block = self._awaited.pop(manager, None)
        if block is None:
            return []
        self._blocks[block] -= 1
        if self._blocks[block] or block not in self._perhaps_drained:
            return []
        self._perhaps_drained.remove(block)
        is_here = any(known.info.block == block for known in self._managers.values())
        return [] if is_here else [TellDrained(block)]

    def _held_back(self, actions: list[Action]) -> list[Action]:
        """Less that blocks are drained of which managers are awaited."""
        early = {action.block for action in actions if isinstance(action, TellDrained) and self._blocks[action.block]}
        self._perhaps_drained |= early
        return [action for action in actions if not (isinstance(action, TellDrained) and action.block in early)]

    def _free(self, tasks: Iterable[TaskId], now: Seconds) -> set[TaskId]:
        """Those of *tasks* that nobody has."""
        free = set(tasks) - self._claimed
        if free and self.is_settled(now):  # tasks may have been given out
            for known in self._managers.values():
                free -= known.held
        return free

    def _claim(self, tasks: set[TaskId]) -> None:
        self._claimed |= tasks
        self._unsifted |= tasks

    def _note_answers(self, actions: list[Action]) -> None:
        """Who is still to come back may have these tasks, too."""
        for action in actions:
            if isinstance(action, SendResults):
                self._claimed.update(result.id for result, _ in action.results)

    def _sift(self) -> None:
        """Take what was claimed out of the queue; not at each claim, for many managers come at once."""
        if self._unsifted and self._queue:
            self._queue = deque(parcel for parcel in self._queue if parcel[0].id not in self._unsifted)
        if self._unsifted and self._placing:
            self._take_places(self._placing.taken_out(self._unsifted))
        for number in self._unsifted & self._needy.keys():
            self._take_places([self._needy.pop(number)])
        self._unsifted = set()

    def _take_places(self, parcels: Iterable[TaskParcel]) -> None:
        """Managers hold these: what they need of their nodes is not there for others."""
        for task, _ in parcels:
            number = task.id
            holder = next((known for known in self._managers.values() if number in known.held), None)
            if task.needs is not None and holder is not None:
                self._is_mixed = True
                holder.place.take(number, task.needs)
