"""Every decision about the blocks of one executor.

Rule 1: what is decided is decided here; `controller` only speaks with the provider and the interchange.
Rule 2: nothing here waits, reads a clock, logs or does I/O.

An event is a method call with the moment it happened; what is to be done comes back as actions. A strategy's wish makes
a block REQUESTED at once; `next_submission` lets it out to the provider as soon as failures and rate allow.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, GiveUp, Remove, TellDrain, TellGone
from cnflow.blocks.backoff import EARLY, Backoff
from cnflow.blocks.block import Block, Stage
from cnflow.blocks.report import Held, report_of
from cnflow.blocks.strategy import BlockView, Drain, Limits, Situation, Start, Strategy, none
from cnflow.ids import BlockId
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import NativeId
    from cnflow.model.block import BlockState
    from cnflow.model.status import BlockReport


_REMIND_AFTER = Seconds(30.0)


class Blocks:
    """The state; see the module for its rules.

    Args:
        label: of the executor, for messages.
        limits: how many blocks.
        strategy: says how many there are to be.
        slots_per_node: what is expected of a node until the first has connected.
        health: of the provider.
        startup_timeout: a block that runs this long without a manager is given up.
    """

    def __init__(
        self,
        label: str,
        limits: Limits,
        strategy: Strategy,
        *,
        slots_per_node: int,
        health: Backoff,
        startup_timeout: Seconds,
    ) -> None:
        self._label = label
        self._limits = limits
        self._strategy = strategy
        self._slots_per_node = slots_per_node
        self._health = health
        self._startup_timeout = startup_timeout
        self._blocks: dict[BlockId, Block] = {}
        self._next = 0
        self._is_first = True
        self._tasks = 0
        self._activity = -1
        self._quiet_since: Seconds | None = None
        self._idle: Mapping[BlockId, float] = {}
        self._last_words: deque[str] = deque(maxlen=3)
        self.provider_is_silent = False
        """Nothing is asked of a provider that did not answer last time: what it started may be there."""

    @property
    def living(self) -> dict[BlockId, NativeId]:
        """Blocks that the provider has, draining ones too. Other threads may ask this, and `reports`, and no more."""
        blocks = list(self._blocks.values())  # in one step, as seen from other threads
        return {block.id: block.native for block in blocks if block.native is not None}

    def reports(self, now: Seconds) -> list[BlockReport]:
        """All blocks as one looks at them, the next as well."""
        blocks, failed = list(self._blocks.values()), list(self._last_words)
        wait = Seconds(self._health.not_before - now)
        untried = next((b.id for b in blocks if b.is_active and b.native is not None and b.connected_at is None), None)
        held = Held(
            self.provider_is_silent,
            untried if self._health.is_probing else None,
            wait,
            failed[-1] if failed else "",
        )
        return [report_of(block, now, held) for block in blocks]

    def stage(self, block: BlockId) -> Stage | None:
        """Where *block* is in its life; None once that is over."""
        known = self._blocks.get(block)
        return known.stage if known else None

    @property
    def is_full(self) -> bool:
        """Whether more tasks could not make for more blocks."""
        return len(self._blocks) >= self._limits.max_blocks or self._strategy is none

    @property
    def wants_idle_times(self) -> bool:
        """Whether the strategy could use to know which blocks are idle."""
        active = sum(block.is_active for block in self._blocks.values())
        return self._strategy is not none and self._tasks > 0 and active > max(1, self._limits.min_blocks)

    def idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """How long each block has held no task; used by the next `decide`, and out of date after it."""
        self._idle = seconds

    def decide(self, tasks: int, activity: int, now: Seconds) -> list[Action]:
        """Ask the strategy what there is to be. *activity* is any number that changes whenever tasks were submitted."""
        if tasks or activity != self._activity:
            self._quiet_since = now
        self._tasks, self._activity = tasks, activity
        actions: list[Action] = []
        for change in self._strategy(self._situation(now)):
            match change:
                case Start(number):
                    self._request(number, now)
                case Drain(blocks):
                    for block in blocks:
                        actions += self._drain(self._blocks.get(block), now)
        self._is_first, self._idle = False, {}
        if tasks and not self._blocks and self._most == 0:
            actions.append(GiveUp(self._no_block_is_allowed()))
        return actions

    def next_submission(self, now: Seconds) -> BlockId | None:
        """A block to ask the provider for now; `accepted`, `busy` or `refused` must follow before the next call."""
        waiting = self._waiting()
        if waiting is None or self._is_held_back() or self._health.may_start_at(now) > now:
            return None
        self._health.starts(now)
        return waiting.id

    def due_at(self, now: Seconds) -> Seconds | None:
        """When `next_submission` may have another; None if only an event can change that."""
        if self._waiting() is None or self._is_held_back():
            return None
        return self._health.may_start_at(now)

    def accepted(self, block: BlockId, native: NativeId) -> None:
        """The provider took it."""
        self._health.accepted()
        self._blocks[block].native = native
        self._blocks[block].become(Stage.PENDING)

    def busy(self, now: Seconds, words: str = "") -> None:
        """The provider has no room now; the block stays requested."""
        waiting = self._waiting()
        if waiting is not None:
            waiting.said = words
        self._health.busy(now)

    def refused(self, block: BlockId, reason: str, now: Seconds, *, for_good: bool) -> list[Action]:
        """The provider could not start it; *for_good*: it would not start another of the kind either."""
        self._blocks.pop(block).become(Stage.FAILED)
        self._health.failed(now)
        return self._after_failure(reason, at_once=for_good and not self._health.was_of_use)

    def connected(self, block: BlockId, slots: int, now: Seconds) -> None:
        """A manager of *block* registered."""
        known = self._blocks.get(block)
        if known is None:
            return
        if known.connected_at is None and not known.is_late:
            self._health.connected()
        known.joined(slots, now)
        nodes = [b for b in self._blocks.values() if b.managers]
        self._slots_per_node = max(1, sum(b.slots for b in nodes) // sum(b.managers for b in nodes))

    def disconnected(self, block: BlockId, slots: int, now: Seconds) -> None:
        """A manager of *block* is gone."""
        known = self._blocks.get(block)
        if known is not None and known.managers:
            known.left(slots, now)

    def alive(self, block: BlockId, state: BlockState, now: Seconds, words: str = "") -> None:
        """The provider says that it lives."""
        self._blocks[block].said = words
        self._blocks[block].seen(state, now)

    def ended(self, block: BlockId, state: BlockState, words: str, now: Seconds) -> list[Action]:
        """The provider says that it is no more; *words* are on how it went."""
        known = self._blocks.pop(block)
        native = known.native
        assert native is not None
        was_asked_to = known.stage is Stage.DRAINING
        known.become(known.last_stage(state))
        reason = f"Block {block} ({native[:12]}) of executor {self._label!r} ended. {words}"
        actions: list[Action] = [Remove(block, native), TellGone(block, reason, is_news=not was_asked_to)]
        if known.connected_at is None and not was_asked_to:
            self._health.failed(now)
            return [*actions, *self._after_failure(reason)]
        if not was_asked_to and known.connected_at is not None and now - known.connected_at < EARLY:
            self._health.died_early(now)
        return actions

    def drained(self, block: BlockId) -> list[Action]:
        """No manager of *block* is left, and none that comes is given anything: now it can be cancelled."""
        known = self._blocks.get(block)
        if known is None or known.stage is not Stage.DRAINING or known.native is None:
            return []
        del self._blocks[block]
        known.become(Stage.MISSING if known.is_late else Stage.ENDED)
        return [Remove(block, known.native)]

    def overdue(self, now: Seconds) -> list[BlockId]:
        """Blocks that run without a manager for too long; call `missed` for each."""
        return [
            block.id
            for block in self._blocks.values()
            if block.stage is Stage.RUNNING
            and block.alone_since is not None
            and now - block.alone_since >= self._startup_timeout
        ]

    def missed(self, block: BlockId, words: str, now: Seconds) -> list[Action]:
        """End *block*, whose manager did not connect in time."""
        known = self._blocks[block]
        known.is_late = True
        self._health.failed(now)
        return [*self._drain(known, now), *self._after_failure(words)]

    def reminders(self, now: Seconds) -> list[Action]:
        """Tell again what an interchange that died since may not have heard."""
        late = [
            b for b in self._blocks.values() if b.stage is Stage.DRAINING and now - (b.told_at or now) >= _REMIND_AFTER
        ]
        for block in late:
            block.told_at = now
        return [TellDrain(block.id) for block in late]

    @property
    def _most(self) -> int:
        limits = self._limits
        return max(limits.init_blocks, limits.min_blocks) if self._strategy is none else limits.max_blocks

    def _situation(self, now: Seconds) -> Situation:
        quiet = Seconds(0.0) if self._tasks or self._quiet_since is None else Seconds(now - self._quiet_since)
        views = tuple(
            BlockView(block.id, block.slots, Seconds(self._idle.get(block.id, 0.0)) or quiet)
            for block in self._blocks.values()
            if block.is_active
        )
        slots = self._slots_per_node * self._limits.nodes_per_block
        return Situation(self._tasks, quiet, views, slots, self._is_first, self._limits)

    def _request(self, count: int, now: Seconds) -> None:
        for _ in range(min(count, self._most - len(self._blocks))):
            block = BlockId(str(self._next))
            self._next += 1
            self._blocks[block] = Block(block, requested_at=now)

    def _drain(self, block: Block | None, now: Seconds) -> list[Action]:
        if block is None or not block.is_active:
            return []
        if block.native is None:
            del self._blocks[block.id]
            block.become(Stage.ENDED)
            return []
        block.become(Stage.DRAINING)
        block.told_at = now
        return [TellDrain(block.id)]

    def _waiting(self) -> Block | None:
        return next((block for block in self._blocks.values() if block.native is None), None)

    def _is_held_back(self) -> bool:
        """Until it is known how the blocks do that were asked for last."""
        if self.provider_is_silent:
            return True
        untried = any(b.is_active and b.native is not None and b.connected_at is None for b in self._blocks.values())
        return self._health.is_probing and untried

    def _after_failure(self, reason: str, *, at_once: bool = False) -> list[Action]:
        """Whether to go on: always while another block is there that could be better."""
        self._last_words.append(reason)
        others = any(block.is_active and block.native is not None for block in self._blocks.values())
        if others or not (at_once or self._health.is_hopeless):
            return []
        return [GiveUp(self._no_block_works())]

    def _no_block_works(self) -> str:
        *earlier, last = self._last_words
        if not earlier:
            return last
        told = "\n".join(f"Before that: {words}" for words in reversed(earlier))
        return f"{last}\n{self._health.in_row} blocks failed one after the other. {told}"

    def _no_block_is_allowed(self) -> str:
        if self._strategy is none:
            what = "strategy='none' keeps init_blocks=0 blocks. Set init_blocks=1 or more, or Config(strategy='simple')"
        else:
            what = "max_blocks=0 allows none. Set max_blocks=1 or more"
        return f"Executor {self._label!r} gets no block: {what}."
