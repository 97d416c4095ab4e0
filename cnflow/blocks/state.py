"""All decisions about the blocks of one executor.

Rule 1: every decision is taken here; `loop` only calls the provider and the executor.
Rule 2: nothing here waits, reads a clock, logs or does I/O.
Rule 3: calls of the provider take any time, so that each answer is an event, and is judged by what was known when its
call began: a block that was accepted since is not missing in it, one that was removed since is no more.

Life of a block, with the method that each event calls and the actions that it returns::

    decide(tasks)                       the strategy wants one more
        │
        ▼                            ┌──── BUSY: later ────┐
    REQUESTED ── take_submissions ───┤                     │
        ▲           the call is out  ├── FAILED, FOR_GOOD ─┼──> FAILED     GiveUp if no block works
        └────────────────────────────┼─────────────────────┘
                         on_submitted├── UNKNOWN: no answer; on_submit_overdue: none yet
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
                                     ├──────────> final: ReportEnd, Remove      final: Remove
                                     │
                                     └ on_emptied: its managers took all the tasks that they take, and left
                                                  final: Remove                 only where blocks are of single use
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, Forget, GiveUp, OrderDrain, Remove, ReportEnd, Warn
from cnflow.blocks.backoff import EARLY, Backoff
from cnflow.blocks.block import Block, Patience, Stage
from cnflow.blocks.capacity import Capacity
from cnflow.blocks.health import Health
from cnflow.blocks.nodes import Nodes
from cnflow.blocks.report import Delay, no_block_is_allowed, ran_no_task, report_of
from cnflow.blocks.several.pace import StartPace
from cnflow.blocks.submissions import Submissions
from cnflow.blocks.table import BlockTable
from cnflow.errors import BudgetError
from cnflow.ids import BlockId, short_native
from cnflow.model.block import BlockState, BlockStatus, EndCause
from cnflow.model.manager_settings import NO_WORKER_STARTS
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.blocks.allowance import Allowance
    from cnflow.blocks.callbacks import Demand
    from cnflow.blocks.strategy import Limits, Strategy
    from cnflow.ids import NativeId
    from cnflow.model.status import BlockReport

_MORE = "Raise the limit in Config(budget=Budget(...)) and run the script again; a cache or checkpoint keeps results."

_REPEAT_AFTER = Seconds(30.0)


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
        self._backoff = backoff
        self._blocks = BlockTable()
        self.health = Health(backoff, lambda: len(self._blocks.active) > len(self._blocks.waiting))
        self.submissions = Submissions(label, self._blocks, backoff, self.health, patience)
        """Takes the events of blocks that have no native id yet."""

        self.nodes = Nodes(label, limits.nodes_per_block, patience.startup, self._blocks.hosts)
        self._blocks.on_removed = self.nodes.on_over
        self.connections = 0
        """Blocks that ever connected."""

        self.starts = StartPace()
        self.capacity = Capacity(self._blocks, self.nodes, limits, strategy, slots_per_node)
        """Decides how many blocks there are."""

    # Queries; those of a block are safe from any thread

    def watch(self, on_change: Callable[[Block], None]) -> None:
        """Have *on_change* called with each block that has changed, or is over."""
        self._blocks.on_change = on_change

    @property
    def natives(self) -> dict[BlockId, NativeId]:
        """Blocks that the provider has, draining ones too."""
        accepted = list(self._blocks.accepted.values())  # one step, as seen from other threads
        return {block.id: block.native for block in accepted if block.native is not None}

    def native(self, block: BlockId) -> NativeId | None:
        """Return the native id of *block*; None if it has none, or is over."""
        known = self._blocks.get(block)
        return known.native if known else None

    @property
    def tasks(self) -> int:
        """Number of unfinished tasks at the last decision."""
        return self.capacity.demand.tasks

    @property
    def trouble(self) -> str:
        """Why no further block can be had at this moment, in words; empty if nothing is wrong."""
        if self.submissions.is_provider_silent:
            return "its system does not answer"
        if self.submissions.busy_words:
            return self.submissions.busy_words
        return self.health.present_words

    @property
    def table(self) -> BlockTable:
        """Blocks that are not over; for reading."""
        return self._blocks

    @property
    def living(self) -> int:
        """Number of blocks that the provider has."""
        return len(self._blocks.accepted)

    @property
    def blocks_without_answer(self) -> list[BlockId]:
        """Blocks whose submission got no answer."""
        return list(self._blocks.unconfirmed)

    @property
    def unconfirmed(self) -> list[Block]:
        """Blocks whose submission got no answer."""
        return list(self._blocks.unconfirmed.values())

    def reports(self, now: Seconds) -> list[BlockReport]:
        """Return a report on each block, requested ones too."""
        untried = next(iter(list(self._blocks.untried)), None)
        delay = Delay(
            self.submissions.is_provider_silent,
            untried if self._backoff.is_probing else None,
            Seconds(self._backoff.not_before - now),
            self.health.last_words,
        )
        return [report_of(block, now, delay) for block in self._blocks]

    def stage(self, block: BlockId) -> Stage | None:
        """Return the stage of *block*; None once its life is over."""
        known = self._blocks.get(block)
        return known.stage if known else None

    @property
    def is_full(self) -> bool:
        """True if more tasks would not lead to more blocks."""
        return self.capacity.is_full

    @property
    def wants_idle_times(self) -> bool:
        """True if the strategy could use idle times of blocks, or a block has yet to show that it runs tasks."""
        return self.tasks > 0 and (self.capacity.has_surplus or bool(self._blocks.unproven))

    def late_blocks(self, now: Seconds) -> list[BlockId]:
        """Return the blocks that run without a manager for too long; `on_connection_timeout` must follow for each."""
        return [block.id for block in self._blocks.lonely.values() if block.is_overdue(now, self.patience.startup)]

    # Decisions

    def adopt(self, natives: Mapping[BlockId, NativeId], next_block: int, now: Seconds) -> None:
        """Take over the blocks of another driver; new ones are numbered from *next_block* on."""
        self.capacity.numbers.start_at(next_block)
        for block_id, native in natives.items():
            block = Block(block_id, requested_at=now)
            block.on_accepted(native, now)
            self._blocks.put(block)
            self.nodes.on_adopted(block_id)

    def decide(self, demand: Demand, now: Seconds) -> list[Action]:
        """Let the strategy start and drain blocks."""
        actions: list[Action] = []
        for block in self.capacity.decide(demand, now):
            actions += self._drain(block, now)
        if demand.tasks and not self._blocks and self.capacity.most == 0:
            actions.append(GiveUp(no_block_is_allowed(self.label, self.capacity.strategy)))
        return [*actions, *self._follow(demand.allowance, now)]

    def _follow(self, allowance: Allowance, now: Seconds) -> list[Action]:
        """End blocks that may not even drain, and give up if no block may come for the tasks."""
        actions: list[Action] = []
        if allowance.ends:
            for block in list(self._blocks.draining.values()):
                reason = f"Block {block.id} of executor {self.label!r} is ended: {allowance.reason}."
                actions += [ReportEnd(block.id, reason, is_unexpected=False), *self._remove(block, Stage.ENDED, now)]
        if allowance.is_final and self.tasks and not self._blocks:
            words = f"Executor {self.label!r} gets no further block: {allowance.reason}. {_MORE}"
            actions.append(GiveUp(words, BudgetError(words)))
        return actions

    def repeat_drains(self, now: Seconds) -> list[Action]:
        """Repeat orders to drain, for an interchange that was restarted and may have missed them."""
        due = [b for b in self._blocks.draining.values() if now - (b.drain_ordered_at or now) >= _REPEAT_AFTER]
        for block in due:
            block.drain_ordered_at = now
        return [OrderDrain(block.id) for block in due]

    # Events of the provider

    def on_unreported(self, block: BlockId, now: Seconds) -> list[Action]:
        """Warn once of a block that the provider's answers leave out for too long before it runs."""
        known = self._blocks.get(block)
        if known is None or not known.on_unreported(now, self.patience.startup):
            return []
        return [Warn(f"Block {block} of executor {self.label!r} is {known.message}.")]

    def has_news(self, block: BlockId, native: NativeId, status: BlockStatus, asked_at: Seconds) -> bool:
        """Return True if a report on *block*, which was asked for as *native*, is to be followed by `on_status`."""
        known = self._blocks.get(block)
        if known is None or known.native != native:
            return False  # it was removed since
        if status.state is BlockState.GONE:  # the system accepted it and may not list it yet
            return asked_at - (known.accepted_at or 0.0) >= self.patience.status_lag
        if status == known.last_status:
            known.reported_at = asked_at
            return False
        return True

    def on_status(self, block: BlockId, status: BlockStatus, now: Seconds) -> list[Action]:
        """Follow the provider's report on *block*."""
        known = self._blocks.get(block)
        if known is None or known.native is None:
            return []
        if status.state is BlockState.GONE and now - (known.accepted_at or 0.0) < self.patience.status_lag:
            return []
        if status.state.is_final:
            return self._on_ended(known, status, now)
        known.message, known.reported_at, known.last_status = status.message, now, status
        known.on_alive(status.state, now)
        if known.stage is Stage.RUNNING:
            self.nodes.on_running(block, now)
        self._blocks.put(known)
        return []

    def on_connection_timeout(self, block: BlockId, reason: str, now: Seconds) -> list[Action]:
        """End *block*, whose manager did not connect in time."""
        known = self._blocks.get(block)
        if known is None or not known.is_overdue(now, self.patience.startup):
            return []  # its manager connected, or it ended, while its log was read
        known.is_late = True
        return [*self._drain(known, now), *self.health.on_bad_block(reason, now)]

    # Events of the interchange

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Keep the idle time of each block for the next `decide`, after which it is out of date; learn which work."""
        self.capacity.on_idle_times(seconds)
        for block in list(self._blocks.unproven.values()):
            idle = seconds.get(block.id)
            if idle == 0:
                block.was_used = True
                self._backoff.on_used()
                self._blocks.put(block)
            elif idle is not None:
                block.was_idle = True

    def on_manager_connected(self, block: BlockId, slots: int, now: Seconds, rank: int = 0, host: str = "") -> None:
        """Count a manager that registered, of node *rank* of *block*, and learn from it how many slots a node has."""
        known = self._blocks.get(block) or self.submissions.adopt(block, now)
        if known is None:
            return
        if known.connected_at is None and not known.is_late:
            self._backoff.on_connected()
        if known.connected_at is None:
            self.connections += 1
            self.starts.on_start(now - known.requested_at)
            known.finished_before = self.capacity.demand.finished
        known.on_manager_connected(slots, now)
        if known.is_active:
            self.nodes.on_connected(block, rank, host, now)
        self._blocks.put(known)
        self.capacity.slots_per_node = max(1, self._blocks.slots // self._blocks.managers)

    def on_manager_lost(self, block: BlockId, slots: int, now: Seconds) -> None:
        """Count a manager of *block* that is gone."""
        known = self._blocks.get(block)
        if known is not None and known.managers:
            known.on_manager_lost(slots, now)
            self.nodes.on_lost(block)
            self._blocks.put(known)

    def on_drain_wanted(self, block: BlockId, now: Seconds) -> list[Action]:
        """Drain *block*, as the user wants; the strategy may start another in its place."""
        return self._drain(self._blocks.get(block), now)

    def on_drained(self, block: BlockId, now: Seconds) -> list[Action]:
        """Remove *block*: it holds no task, and no manager of it will be given one."""
        known = self._blocks.get(block)
        if known is None or known.stage is not Stage.DRAINING:
            return []
        return self._remove(known, Stage.MISSING if known.is_late else Stage.ENDED, now)

    def on_emptied(self, block: BlockId, now: Seconds) -> list[Action]:
        """Remove *block* of single use, whose managers have left by themselves."""
        known = self._blocks.get(block)
        if known is None or not self._limits.is_single_use:
            return []  # the provider reports its end
        self._backoff.on_used()
        return self._remove(known, Stage.ENDED, now)

    # Parts of these

    def _remove(self, block: Block, stage: Stage, now: Seconds) -> list[Action]:
        self._end(block, stage)
        if block.native is None:  # its managers leave by themselves; the rest is removed once it is listed
            self.submissions.lost.add(block, now)
            return []
        return [Remove(block.id, block.native), Forget(block.id)]

    def _on_ended(self, block: Block, status: BlockStatus, now: Seconds) -> list[Action]:
        native = block.native
        assert native is not None
        was_draining = block.stage is Stage.DRAINING or self._is_spent(block, status)
        self._end(block, block.final_stage(status.state))
        reason = f"Block {block.id} ({short_native(native)}) of executor {self.label!r} ended. {status.message}"
        actions: list[Action] = [
            Remove(block.id, native),
            ReportEnd(block.id, reason, is_unexpected=not was_draining),
            Forget(block.id),
        ]
        if was_draining:
            return actions
        if self._was_useless(block, status):
            words = reason if status.exit_code == NO_WORKER_STARTS else ran_no_task(reason, self.label)
            return [*actions, *self.health.on_unused_block(words, now)]
        if status.cause is not None and status.cause.is_regular and block.connected_at is not None:
            return actions
        if block.connected_at is None:
            return [*actions, *self.health.on_bad_block(reason, now, is_for_good=status.is_for_good)]
        if now - block.connected_at < EARLY:
            self._backoff.on_early_death(now)
        return actions

    def _is_spent(self, block: Block, status: BlockStatus) -> bool:
        """Return True if *block* has had its task; an end of its own that comes before `on_emptied`."""
        return self._limits.is_single_use and block.connected_at is not None and status.exit_code == 0

    def _was_useless(self, block: Block, status: BlockStatus) -> bool:
        """Return True if *block* was connected and ran no task, though some waited; a preemption may explain it."""
        demand = self.capacity.demand
        waited = demand.slots > self._blocks.slots and demand.finished == block.finished_before
        # One of single use may get its task, and end by it, between two looks at idle times.
        was_idle = (block.was_idle and not self._limits.is_single_use) or status.exit_code == NO_WORKER_STARTS
        return waited and was_idle and block.is_unproven and status.cause is not EndCause.PREEMPTED

    def _end(self, block: Block, stage: Stage) -> None:
        block.become(stage)  # before its removal, which watchers are called with
        self._blocks.remove(block)

    def _drain(self, block: Block | None, now: Seconds) -> list[Action]:
        if block is None or not block.is_active:
            return []
        if block.stage is Stage.REQUESTED and not block.is_waiting:
            return []  # it may run: it can be drained once it is accepted or listed, or its manager connects
        if block.stage is Stage.REQUESTED:
            self._end(block, Stage.ENDED)
            return []
        block.become(Stage.DRAINING)
        self.nodes.on_over(block.id)
        block.drain_ordered_at = now
        self._blocks.put(block)
        return [OrderDrain(block.id)]
