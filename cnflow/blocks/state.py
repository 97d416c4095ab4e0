"""All decisions about the blocks of one executor.

Rule 1: every decision is taken here; `loop` only calls the provider and the executor.
Rule 2: nothing here waits, reads a clock, logs or does I/O.

Life of a block, with the method that each event calls and the actions that it returns::

    decide(tasks)                       the strategy wants one more
        │
        ▼                            ┌──── BUSY: later ────┐
    REQUESTED ── take_submissions ───┤                     │
        ▲                            ├── FAILED, FOR_GOOD ─┼──> FAILED     GiveUp if no block works
        └────────────────────────────┼─────────────────────┘
                         on_submitted├── UNKNOWN: no answer
                                     │      ├─ on_found, absent, or on_unlistable ──> MISSING, lost
                                     │      │            GiveUp if no block works; the id is not submitted again
                                     │      │            lost ── on_found, listed late ──────> Remove
                                     │      │            lost ── on_manager_connected ──────┐
                                     │      ├─ on_manager_connected ──> RUNNING, no native <┘
                                     ▼      ▼ on_found, listed
                                  PENDING <─┘
                                     │ on_status(RUNNING), on_manager_connected
                                     ▼
                                  RUNNING ── decide, on_connection_timeout ──> DRAINING    OrderDrain
                                     │                                            │ on_drained
                                     │ on_status(ENDED, FAILED, GONE)             ▼
                                     └──────────> final: ReportEnd, Remove      final: Remove
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, GiveUp, OrderDrain, Remove, ReportEnd, Warn
from cnflow.blocks.backoff import EARLY, Backoff
from cnflow.blocks.block import Block, Patience, Stage
from cnflow.blocks.lost import LostBlocks
from cnflow.blocks.report import Delay, no_block_is_allowed, no_block_works, report_of
from cnflow.blocks.strategy import BlockView, Drain, Limits, Situation, Start, Strategy, none
from cnflow.ids import BlockId, short_native
from cnflow.model.block import BlockState, BlockStatus, Refusal, Refused
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import NativeId
    from cnflow.model.status import BlockReport


_REPEAT_AFTER = Seconds(30.0)
_NO_ANSWER = Refused(Refusal.UNKNOWN, "The provider did not answer for this block.")


class Blocks:
    """State machine of one executor's blocks; see the module for its rules.

    Args:
        label: of the executor, for messages.
        limits: of the number of blocks.
        strategy: decides how many there should be.
        slots_per_node: expected of a node until the first manager has connected.
        backoff: failures of the provider.
        patience: times that a block gets.
    """

    def __init__(
        self,
        label: str,
        limits: Limits,
        strategy: Strategy,
        *,
        slots_per_node: int,
        backoff: Backoff,
        patience: Patience,
    ) -> None:
        self.label = label
        self.patience = patience
        self._limits = limits
        self._strategy = strategy
        self._slots_per_node = slots_per_node
        self._backoff = backoff
        self._blocks: dict[BlockId, Block] = {}
        self._submitted: list[Block] = []
        """Handed out by `take_submissions`, not answered by `on_submitted` yet."""
        self._next = 0
        self._is_first = True
        self._tasks = 0
        self._activity = -1
        self._quiet_since: Seconds | None = None
        self._idle: Mapping[BlockId, float] = {}
        self._failures: deque[str] = deque(maxlen=3)
        self.lost = LostBlocks(label, patience.startup)
        self.is_provider_silent = False
        """True after a call that got no answer: nothing is submitted, since earlier blocks may still be there."""

    # Queries

    @property
    def natives(self) -> dict[BlockId, NativeId]:
        """Blocks that the provider has, draining ones too. Safe from any thread, as `reports`."""
        blocks = list(self._blocks.values())  # one step, as seen from other threads
        return {block.id: block.native for block in blocks if block.native is not None}

    @property
    def blocks_without_answer(self) -> list[BlockId]:
        """Blocks whose submission got no answer."""
        return [block.id for block in self.unconfirmed]

    @property
    def unconfirmed(self) -> list[Block]:
        """The same, as they are."""
        return [block for block in self._blocks.values() if block.unconfirmed_since is not None]

    def reports(self, now: Seconds) -> list[BlockReport]:
        """Return a report on each block, requested ones too."""
        blocks, failures = list(self._blocks.values()), list(self._failures)
        untried = next((block.id for block in blocks if block.is_untried), None)
        delay = Delay(
            self.is_provider_silent,
            untried if self._backoff.is_probing else None,
            Seconds(self._backoff.not_before - now),
            failures[-1] if failures else "",
        )
        return [report_of(block, now, delay) for block in blocks]

    def stage(self, block: BlockId) -> Stage | None:
        """Return the stage of *block*; None once its life is over."""
        known = self._blocks.get(block)
        return known.stage if known else None

    @property
    def is_full(self) -> bool:
        """True if more tasks would not lead to more blocks."""
        return len(self._blocks) >= self._limits.max_blocks or self._strategy is none

    @property
    def wants_idle_times(self) -> bool:
        """True if the strategy could use idle times of blocks."""
        active = sum(block.is_active for block in self._blocks.values())
        return self._strategy is not none and self._tasks > 0 and active > max(1, self._limits.min_blocks)

    def late_blocks(self, now: Seconds) -> list[BlockId]:
        """Return the blocks that run without a manager for too long; `on_connection_timeout` must follow for each."""
        return [block.id for block in self._blocks.values() if block.is_overdue(now, self.patience.startup)]

    def next_submission_at(self, now: Seconds) -> Seconds | None:
        """Return the time of the next `take_submissions`; None if only an event can lead to one."""
        if not self._waiting() or self._is_held_back():
            return None
        return self._backoff.earliest_start(now)

    # Decisions

    def decide(self, tasks: int, activity: int, now: Seconds) -> list[Action]:
        """Let the strategy start and drain blocks.

        Args:
            tasks: that are unfinished.
            activity: any number that changes whenever tasks were submitted.
            now: time of the decision.
        """
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
            actions.append(GiveUp(no_block_is_allowed(self.label, self._strategy)))
        return actions

    def take_submissions(self, now: Seconds) -> list[BlockId]:
        """Return the blocks to submit now, as one batch; `on_submitted` must follow before the next call."""
        for block in [] if self._is_held_back() else self._waiting():
            if self._backoff.earliest_start(now) > now:
                break
            self._backoff.on_submit(now)
            self._submitted.append(block)
            if self._backoff.is_probing:
                break
        return [block.id for block in self._submitted]

    def repeat_drains(self, now: Seconds) -> list[Action]:
        """Repeat orders to drain, for an interchange that was restarted and may have missed them."""
        due = [
            block
            for block in self._blocks.values()
            if block.stage is Stage.DRAINING and now - (block.drain_ordered_at or now) >= _REPEAT_AFTER
        ]
        for block in due:
            block.drain_ordered_at = now
        return [OrderDrain(block.id) for block in due]

    # Events

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Keep the idle time of each block for the next `decide`; they are out of date after it."""
        self._idle = seconds

    def on_submitted(self, answers: Mapping[BlockId, NativeId | Refused], now: Seconds) -> list[Action]:
        """Follow the provider's answers to a batch. One batch counts as one failure, however many were refused."""
        batch, self._submitted = self._submitted, []
        failures: list[Refused] = []
        is_busy = False
        for block in batch:
            answer = answers.get(block.id, _NO_ANSWER)
            if not isinstance(answer, Refused):
                self._backoff.on_accepted()
                block.on_accepted(answer, now)
            elif answer.kind in {Refusal.FAILED, Refusal.FOR_GOOD}:
                self._blocks.pop(block.id).become(Stage.FAILED)
                failures.append(answer)
            else:
                is_busy, block.message = True, answer.words
                block.unconfirmed_since = now if answer.kind is Refusal.UNKNOWN else None
        if is_busy:
            self._backoff.on_busy(now)
        if not failures:
            return []
        self._backoff.on_failed(now)
        worst = next((failure for failure in failures if failure.kind is Refusal.FOR_GOOD), failures[-1])
        if worst.kind is not Refusal.FOR_GOOD:
            return [*self._on_failure(worst.words)]
        give_up = self._on_failure(worst.words, at_once=not self._backoff.has_succeeded)
        return [action._replace(error=worst.error) for action in give_up]

    def on_found(self, found: Mapping[BlockId, NativeId], now: Seconds) -> list[Action]:
        """Adopt unconfirmed blocks that the provider lists, remove lost ones that it lists late; others are lost."""
        for block in self.unconfirmed:
            if block.id in found:
                self._backoff.on_accepted()
                block.on_accepted(found[block.id], now)
        return self.lost.on_found(found) + self._lose("its provider does not list it", now)

    def on_unlistable(self, words: str, now: Seconds) -> list[Action]:
        """Give up unconfirmed blocks without a manager: the provider fails to list blocks, in *words* of its own."""
        return self._lose(f"its provider fails to list blocks: {words}", now)

    def on_unreported(self, block: BlockId, now: Seconds) -> list[Action]:
        """Warn once of a block that the provider's answers leave out for too long before it runs."""
        known = self._blocks.get(block)
        if known is None or not known.on_unreported(now, self.patience.startup):
            return []
        return [Warn(f"Block {block} of executor {self.label!r} is {known.message}.")]

    def on_manager_connected(self, block: BlockId, slots: int, now: Seconds) -> None:
        """Count a manager of *block* that registered, and learn from it how many slots a node has."""
        known = self._blocks.get(block) or self._adopt(block, now)
        if known is None:
            return
        if known.connected_at is None and not known.is_late:
            self._backoff.on_connected()
        known.on_manager_connected(slots, now)
        nodes = [other for other in self._blocks.values() if other.managers]
        self._slots_per_node = max(1, sum(b.slots for b in nodes) // sum(b.managers for b in nodes))

    def on_manager_lost(self, block: BlockId, slots: int, now: Seconds) -> None:
        """Count a manager of *block* that is gone."""
        known = self._blocks.get(block)
        if known is not None and known.managers:
            known.on_manager_lost(slots, now)

    def on_status(self, block: BlockId, status: BlockStatus, now: Seconds) -> list[Action]:
        """Follow the provider's report on *block*."""
        known = self._blocks[block]
        accepted_at = known.accepted_at if known.accepted_at is not None else now
        if status.state is BlockState.GONE and now - accepted_at < self.patience.status_lag:
            return []  # the system accepted it and does not list it yet
        if status.state.is_final:
            return self._on_ended(known, status, now)
        known.message, known.reported_at = status.message, now
        known.on_alive(status.state, now)
        return []

    def on_drained(self, block: BlockId, now: Seconds) -> list[Action]:
        """Remove *block*: it holds no task, and no manager of it will be given one."""
        known = self._blocks.get(block)
        if known is None or known.stage is not Stage.DRAINING:
            return []
        del self._blocks[block]
        known.become(Stage.MISSING if known.is_late else Stage.ENDED)
        if known.native is None:  # its managers leave by themselves; the rest is removed once it is listed
            self.lost.add(known, now)
            return []
        return [Remove(block, known.native)]

    def on_connection_timeout(self, block: BlockId, reason: str, now: Seconds) -> list[Action]:
        """End *block*, whose manager did not connect in time."""
        known = self._blocks[block]
        known.is_late = True
        self._backoff.on_failed(now)
        return [*self._drain(known, now), *self._on_failure(reason)]

    def _on_ended(self, block: Block, status: BlockStatus, now: Seconds) -> list[Action]:
        native = block.native
        assert native is not None
        del self._blocks[block.id]
        was_draining = block.stage is Stage.DRAINING
        block.become(block.final_stage(status.state))
        reason = f"Block {block.id} ({short_native(native)}) of executor {self.label!r} ended. {status.message}"
        actions: list[Action] = [
            Remove(block.id, native),
            ReportEnd(block.id, reason, is_unexpected=not was_draining),
        ]
        is_regular = status.cause is not None and status.cause.is_regular and block.connected_at is not None
        if was_draining or is_regular:
            return actions
        if block.connected_at is None:
            self._backoff.on_failed(now)
            return [*actions, *self._on_failure(reason)]
        if now - block.connected_at < EARLY:
            self._backoff.on_early_death(now)
        return actions

    def _adopt(self, block: BlockId, now: Seconds) -> Block | None:
        """Count a lost block again, instead of one that was requested in its place and waits."""
        lost = self.lost.adopt(block, now)
        if lost is not None:
            for replacement in self._waiting()[-1:]:
                del self._blocks[replacement.id]
            self._blocks[block] = lost
        return lost

    def _lose(self, why: str, now: Seconds) -> list[Action]:
        """Give up the unconfirmed blocks that should be listed by now."""
        actions: list[Action] = []
        failure = ""
        for block in [one for one in self._blocks.values() if one.is_absent(now, self.patience.status_lag)]:
            del self._blocks[block.id]
            was_draining = block.stage is Stage.DRAINING
            reason, is_failure = self.lost.give_up(block, why, now)
            if is_failure:
                failure = reason
            else:  # it worked, and has ended as far as can be known
                actions.append(ReportEnd(block.id, reason, is_unexpected=not was_draining))
        if failure:
            self._backoff.on_failed(now)  # once for all that may have been one batch
            actions += self._on_failure(failure)
        return actions

    def _on_failure(self, reason: str, *, at_once: bool = False) -> list[GiveUp]:
        """Give up, unless another block is there, or another try may do better."""
        self._failures.append(reason)
        others = any(block.is_active and not block.is_waiting for block in self._blocks.values())
        if others or not (at_once or self._backoff.is_hopeless):
            return []
        return [GiveUp(no_block_works(self._failures, self._backoff.failures_in_row))]

    # Parts of these

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
        if block.stage is Stage.REQUESTED and block.unconfirmed_since is not None:
            return []  # it may run: it can be drained once it is listed, or its manager connects
        if block.stage is Stage.REQUESTED:
            del self._blocks[block.id]
            block.become(Stage.ENDED)
            return []
        block.become(Stage.DRAINING)
        block.drain_ordered_at = now
        return [OrderDrain(block.id)]

    def _waiting(self) -> list[Block]:
        return [block for block in self._blocks.values() if block.is_waiting]

    def _is_held_back(self) -> bool:
        """Return True while the blocks submitted last must first show how they do."""
        if self.is_provider_silent:
            return True
        return self._backoff.is_probing and any(block.is_untried for block in self._blocks.values())
