"""Does what the fleet decides: speaks with the provider and the interchange, in the thread that calls `run`."""

from __future__ import annotations

import logging
import math
import queue
import random
from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, GiveUp, Remove, TellDrain, TellGone
from cnflow.blocks.backoff import Backoff
from cnflow.blocks.events import Drained, Event, IdleTimes, Joined, Left, Stop, Wake
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.clock import SystemClock
from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError
from cnflow.ids import BlockId
from cnflow.log_tail import quoted_tail
from cnflow.model.block import BlockState, BlockStatus
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnflow.blocks.callbacks import Callbacks, Scaling
    from cnflow.blocks.strategy import Change, Situation, Strategy
    from cnflow.config import ProviderSettings
    from cnflow.ids import NativeId
    from cnflow.interfaces import Provider
    from cnflow.model.block import BlockRequest
    from cnflow.model.status import BlockReport

logger = logging.getLogger(__name__)

_NOT_SOONER = Seconds(0.05)
"""Between two decisions: what happens in the meantime is decided on together."""


class BlockController:
    """Owns the blocks of one executor from request to removal.

    Args:
        label: of the executor, for messages.
        provider: used from the thread of `run` only.
        settings: how many blocks.
        scaling: how many of them when.
        slots_per_node: what is expected of a node until the first has connected.
        wires: what else is heard and said.
    """

    def __init__(
        self,
        label: str,
        provider: Provider,
        settings: ProviderSettings,
        scaling: Scaling,
        slots_per_node: int,
        wires: Callbacks,
    ) -> None:
        self._label = label
        self._provider = provider
        self._wires = wires
        limits = Limits(
            settings.init_blocks,
            settings.min_blocks,
            settings.max_blocks,
            settings.nodes_per_block,
            settings.parallelism,
            Seconds(scaling.max_idletime),
        )
        self._fleet = Blocks(
            label,
            limits,
            _strategy_of(scaling.strategy, label),
            slots_per_node=slots_per_node,
            health=Backoff(random.Random()),  # noqa: S311 - spreads delays, keeps no secret
            startup_timeout=Seconds(settings.startup_timeout),
        )
        self._startup_timeout = settings.startup_timeout
        self._clock = SystemClock()
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._requests: dict[BlockId, BlockRequest] = {}
        self._to_remove: set[NativeId] = set()
        """Blocks whose removal the provider did not answer; asked for again with the next look."""

        self._next_look = self._clock.now()
        self._is_woken = False
        self._is_stopping = False
        self.enough_for = math.inf
        """More tasks than this may need more blocks: call `wake` then. Read from any thread."""

    @property
    def living(self) -> int:
        """Blocks that were started and have not ended, as far as is known."""
        return len(self._fleet.living)

    def reports(self) -> list[BlockReport]:
        """The blocks as one looks at them. Safe from any thread."""
        return self._fleet.reports(self._clock.now())

    def connected(self, block: str, slots: int) -> None:
        """A manager of *block* registered. Safe from any thread, as all of these."""
        self._events.put(Joined(BlockId(block), slots))

    def disconnected(self, block: str, slots: int) -> None:
        """A manager of *block* is gone."""
        self._events.put(Left(BlockId(block), slots))

    def drained(self, block: str) -> None:
        """No manager of *block* is left that holds or will be given anything."""
        self._events.put(Drained(BlockId(block)))

    def idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """How long each block has held no task."""
        self._events.put(IdleTimes(seconds))

    def wake(self) -> None:
        """There are more tasks than `enough_for`. Costs next to nothing when called again before it was heard."""
        if not self._is_woken:
            self._is_woken = True
            self._events.put(Wake())

    def stop(self) -> None:
        """Have `run` remove all blocks and return."""
        self._is_stopping = True
        self._events.put(Stop())

    def run(self) -> None:
        """Start blocks and look after them until `stop`."""
        try:
            while not self._is_stopping:
                self._look_if_due()
                self._decide()
                self._submit_what_may()
                self._wait()
        finally:
            self._provider.cancel([*self._fleet.living.values(), *self._to_remove])

    def _decide(self) -> None:
        self._is_woken, self.enough_for = False, -1  # before the count: who adds to it from now on wakes again
        tasks, activity = self._wires.demand()
        self._do(self._fleet.decide(tasks, activity, self._clock.now()))
        self.enough_for = math.inf if self._fleet.is_full else tasks

    def _wait(self) -> None:
        """Hear events until there is something to decide."""
        now = self._clock.now()
        soonest = now + _NOT_SOONER
        due = self._fleet.due_at(now)
        until = max(soonest, min(self._next_look, self._next_look if due is None else due))
        while not self._is_stopping:
            try:
                event = self._events.get(timeout=max(0.0, until - self._clock.now()))
            except queue.Empty:
                return
            self._hear(event)
            until = soonest

    def _hear(self, event: Event) -> None:
        now = self._clock.now()
        match event:
            case Joined(block, slots):
                self._fleet.connected(block, slots, now)
            case Left(block, slots):
                self._fleet.disconnected(block, slots, now)
            case Drained(block):
                self._do(self._fleet.drained(block))
            case IdleTimes(seconds):
                self._fleet.idle_times(seconds)
            case Wake() | Stop():
                pass

    def _look_if_due(self) -> None:
        now = self._clock.now()
        if now < self._next_look:
            return
        self._look()
        for block in self._fleet.overdue(self._clock.now()):
            reason = self._said_of_late_one(block)
            logger.warning("%s", reason)
            self._do(self._fleet.missed(block, reason, self._clock.now()))
        self._do(self._fleet.reminders(self._clock.now()))
        if self._fleet.wants_idle_times:
            self._wires.ask_idle()
        self._next_look = Seconds(self._clock.now() + self._provider.poll_period)

    def _remove(self, blocks: set[NativeId]) -> None:
        self._to_remove |= blocks
        try:
            self._provider.cancel(list(self._to_remove))
        except BlockError as error:
            logger.warning("the provider does not answer; %d blocks are removed later: %s", len(self._to_remove), error)
        else:
            self._to_remove.clear()

    def _look(self) -> None:
        if self._to_remove:
            self._remove(set())
        living = self._fleet.living
        if not living:
            self._fleet.provider_is_silent = False
            return
        try:
            statuses = self._provider.status(list(living.values()))
        except BlockError as error:
            logger.warning("the provider does not answer; blocks are left as they are: %s", error)
            self._fleet.provider_is_silent = True
            return
        self._fleet.provider_is_silent = False
        for block, native in living.items():
            status = statuses.get(native, BlockStatus(BlockState.GONE))
            now = self._clock.now()
            if status.state.is_final:
                self._do(self._fleet.ended(block, status.state, self._words_on(block, status), now))
            else:
                self._fleet.alive(block, status.state, now, status.message)

    def _words_on(self, block: BlockId, status: BlockStatus) -> str:
        said = status.message or status.state.value
        return said if "\n" in said else said + quoted_tail(self._requests[block].log_file)

    def _submit_what_may(self) -> None:
        while not self._is_stopping and (block := self._fleet.next_submission(self._clock.now())) is not None:
            self._submit(block)

    def _submit(self, block: BlockId) -> None:
        request = self._requests[block] = self._wires.request(block)
        try:
            native = self._provider.submit(request)
        except ProviderBusyError as error:
            logger.warning("block %s must wait: %s", block, error)
            self._fleet.busy(self._clock.now(), str(error))
        except BlockError as error:
            del self._requests[block]
            for_good = isinstance(error, BlockRejectedError)
            logger.warning("block %s of executor %s cannot be started: %s", block, self._label, error)
            actions = self._fleet.refused(block, str(error), self._clock.now(), for_good=for_good)
            self._do(actions, error if for_good else None)
        else:
            logger.info("block %s is %s", block, native)
            self._fleet.accepted(block, native)

    def _do(self, actions: Iterable[Action], error: BlockError | None = None) -> None:
        for action in actions:
            match action:
                case TellDrain(block):
                    logger.info("block %s of executor %s drains", block, self._label)
                    self._wires.drain(block)
                case Remove(block, native):
                    logger.info("block %s (%s) is removed", block, native)
                    self._requests.pop(block, None)
                    self._remove({native})
                case TellGone(block, reason, is_news):
                    logger.log(logging.WARNING if is_news else logging.INFO, "%s", reason)
                    self._wires.gone(block, reason)
                case GiveUp(reason):
                    self._wires.give_up(error or BlockError(reason))

    def _said_of_late_one(self, block: BlockId) -> str:
        request = self._requests[block]
        manager = request.manager
        port = manager.endpoint.rpartition(":")[2]
        tried = f"{', '.join(manager.hosts)}, port {port}" if manager.hosts else manager.endpoint
        return (
            f"Block {block} of executor {self._label!r} runs, but for {self._startup_timeout:g} s no manager of it was "
            f"connected. Its managers try {tried}. If that cannot be reached from there, set "
            f"HighThroughputExecutor(address=...); if they only need longer to start, set startup_timeout of the "
            f"provider.{quoted_tail(request.log_file)}"
        )


def _strategy_of(choice: str | Strategy | None, label: str) -> Strategy:
    if choice is None or isinstance(choice, str):
        return STRATEGIES[choice or "none"]
    own = choice

    def guarded(situation: Situation) -> list[Change]:
        try:
            return list(own(situation))
        except Exception:  # the user's own code
            logger.exception("the strategy of executor %s failed; its blocks are left as they are", label)
            return []

    return guarded
