"""The machine of an interchange, as a pool uses it: tasks of all clients, as far as managers have room. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.ids import BlockId
from cnflow.interchange.state import NOTHING_HELD, Interchange
from cnflow.model.manager_settings import PROTOCOL
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import FunctionId, ManagerId, TaskId
    from cnflow.interchange.actions import Action
    from cnflow.model.pool_settings import PoolInterchangeSettings
    from cnflow.wire.function_messages import Function
    from cnflow.wire.manager_messages import ManagerInfo


class StandingInterchange(Interchange):
    """Outlives its clients; see `cnflow.interchange.state.Interchange`.

    Args:
        settings: of the pool. With `managers_key`, managers of any block may register, such as pods that are none of
            the owner's blocks; nothing is kept of such a block once its last manager is gone, unless it drains.
        functions: of the clients; the owner adds and removes.
    """

    def __init__(self, settings: PoolInterchangeSettings, functions: dict[FunctionId, Function]) -> None:
        period, threshold = Seconds(settings.heartbeat_period), Seconds(settings.heartbeat_threshold)
        super().__init__(PROTOCOL, period, threshold, map(BlockId, settings.blocks), sure_after=settings.sure_after)
        self._functions = functions
        self._admits_all = bool(settings.managers_key)
        self._guests: set[BlockId] = set()
        """Blocks that were not admitted by the owner."""

    @property
    def is_by_resources(self) -> bool:
        """Tasks are assigned one by one: some have needs, or some block has an end."""
        return self._scheduler.is_by_resources

    @property
    def room(self) -> int:
        """Tasks without needs that managers would take now, beyond those that wait here."""
        if not self._slots:
            return 0
        free = sum(self._slots.idle.values()) + sum(self._slots.prefetch.values())
        return max(0, free - len(self._queue) - len(self.data))

    @property
    def calls_room(self) -> tuple[int, int]:
        """Calls of models that managers would take now beyond those that wait here: that go first, and bulk."""
        slots, waiting = self._slots, self._scheduler.calls
        bulk = sum(slots.idle.values()) + sum(slots.calls.values())
        express = bulk + sum(slots.express.values())
        return max(0, express - len(waiting.express)), max(0, bulk - len(waiting.bulk))

    def allow_calls(self) -> None:
        """Count from now on how many calls managers take."""
        self._scheduler.calls.allow()

    def on_registered(
        self,
        manager: ManagerId,
        info: ManagerInfo,
        now: Seconds,
        held: Mapping[TaskId, int] = NOTHING_HELD,
        stopping: Mapping[TaskId, int] = NOTHING_HELD,
    ) -> list[Action]:
        """See `Interchange.on_registered`; admits the block first if any may come."""
        block = info.block
        if self._admits_all and self._blocks.get(block) is None and not self._blocks.refusal(manager, block):
            self.on_admitted(block)
            self._guests.add(block)
        actions = super().on_registered(manager, info, now, held, stopping)
        self._forget_if_empty(block, now)
        return actions

    def on_drain_requested(self, block: BlockId, now: Seconds) -> list[Action]:
        """See `Interchange.on_drain_requested`; the block drains until it is gone, also where any may come.

        A pod can be removed before its manager has registered, and its container is started again once a drained
        manager has left. Tasks of a manager that comes then would be lost with the pod.
        """
        if self._admits_all and not self._blocks.is_removed(block):
            self.on_admitted(block)
            self._guests.discard(block)
        return super().on_drain_requested(block, now)

    def _remove(self, manager: ManagerId, reason: str) -> list[Action]:
        record = self._managers.get(manager)
        actions = super()._remove(manager, reason)
        if record is not None:
            self._forget_if_empty(record.info.block, record.last_received)
        return actions

    def _forget_if_empty(self, block: BlockId, now: Seconds) -> None:
        record = self._blocks.get(block)
        if block in self._guests and (record is None or record.is_empty):
            self._guests.discard(block)
            self._blocks.forget(block)
            self._scheduler.kinds.on_forgotten(block, now)
