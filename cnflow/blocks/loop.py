"""Carries out the decisions of `cnflow.blocks.state`: calls the provider and the executor, from the thread of `run`.

::

    other threads ── on_manager_connected, on_drained, wake ... ──> queue of events
                                                                        │
    run:  ┌──> ask provider for status, if due ──> decide ──> submit ──> wait for events, at most until
          │        ▲ every poll_period, or at once                       the next status or submission
          │        │ after the provider's watch                          │
          └────────┴─────────────────────────────────────────────────────┘
          until stop: `shutdown` ends the watch and cancels all blocks
"""

from __future__ import annotations

import logging
import math
import queue
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, GiveUp, OrderDrain, Remove, ReportEnd, Warn
from cnflow.blocks.events import (
    BlockDrained,
    Event,
    IdleTimes,
    ManagerConnected,
    ManagerLost,
    ProviderChanged,
    RunEnded,
    TasksAdded,
)
from cnflow.blocks.provider_calls import ProviderCalls
from cnflow.blocks.shutdown import Shutdown
from cnflow.errors import BlockError, BlockRejectedError, CnflowError, ProviderBusyError
from cnflow.ids import BlockId, NativeId
from cnflow.log_tail import quoted, quoted_tail
from cnflow.model.block import Refusal, Refused
from cnflow.model.traits import LogsVia
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from cnflow.blocks.callbacks import Callbacks
    from cnflow.blocks.state import Blocks
    from cnflow.clock import Clock
    from cnflow.ids import RunId
    from cnflow.interfaces import Provider
    from cnflow.model.block import BlockRequest, BlockStatus
    from cnflow.model.status import BlockReport
    from cnflow.model.traits import Traits

logger = logging.getLogger(__name__)

_DECISION_PERIOD = Seconds(0.05)
"""Shortest time between two decisions: events that come closer together are decided on together."""

_WATCH_PERIOD = Seconds(1.0)
"""Shortest time between two status queries that the provider's watch causes, unless `Traits.poll_period` is shorter."""

_LOG_LINES = 10

_MOST_FAILED_FINDS = 5
"""Calls of `Provider.find` in a row that failed, after which blocks without an answer are given up."""


class BlockController:
    """Owns the blocks of one executor from request to removal.

    Args:
        blocks: decide; used from the thread of `run`, but for reports.
        provider: used from the thread of `run` only.
        traits: of the provider.
        callbacks: into the executor.
        clock: read by the thread of `run`.
        pause: waits between attempts to remove blocks at the end; takes seconds.
    """

    def __init__(
        self,
        blocks: Blocks,
        provider: Provider,
        traits: Traits,
        callbacks: Callbacks,
        clock: Clock,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._blocks = blocks
        self._provider = ProviderCalls(provider, callbacks.ledger)
        self._traits = traits
        self._shutdown = Shutdown(self._provider, blocks.label, clock, pause)
        self._callbacks = callbacks
        self._clock = clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._requests: dict[BlockId, BlockRequest] = {}
        self._to_remove: set[NativeId] = set()
        """Blocks whose removal was not confirmed; cancelled again with the next status query."""

        self._failed_finds = 0
        """In a row."""

        self._run_id: RunId | None = None
        """Of the last request; None before the first."""

        self._next_poll = self._last_poll = self._clock.now()
        self._is_woken = False
        self._is_stopping = False
        self.enough_for = math.inf
        """Number of tasks beyond which more blocks may be needed: call `wake` then. Read from any thread."""

    # Any thread

    @property
    def living(self) -> int:
        """Number of blocks that were accepted and have not ended, as far as is known."""
        return len(self._blocks.natives)

    def natives(self) -> set[NativeId]:
        """Return the native ids of all blocks that may run, those that are being removed too."""
        return {*self._blocks.natives.values(), *self._to_remove}

    def unconfirmed(self) -> list[BlockId]:
        """Return the blocks whose submission got no answer, lost ones too."""
        return [*self._blocks.blocks_without_answer, *self._blocks.lost.ids]

    def reports(self) -> list[BlockReport]:
        """Return a report on each block."""
        return self._blocks.reports(self._clock.now())

    def on_manager_connected(self, block: str, slots: int) -> None:
        """Queue the event that a manager of *block* registered."""
        self._events.put(ManagerConnected(BlockId(block), slots))

    def on_manager_lost(self, block: str, slots: int) -> None:
        """Queue the event that a manager of *block* is gone."""
        self._events.put(ManagerLost(BlockId(block), slots))

    def on_drained(self, block: str) -> None:
        """Queue the event that no manager of *block* is left that holds a task or will be given one."""
        self._events.put(BlockDrained(BlockId(block)))

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Queue the time for which each block has held no task."""
        self._events.put(IdleTimes(seconds))

    def on_provider_changed(self) -> None:
        """Queue a status query ahead of its time."""
        self._events.put(ProviderChanged())

    def wake(self) -> None:
        """Queue a decision, since there are more tasks than `enough_for`; nearly free if one is queued already."""
        if not self._is_woken:
            self._is_woken = True
            self._events.put(TasksAdded())

    def stop(self) -> None:
        """Make `run` remove all blocks and return."""
        self._is_stopping = True
        self._events.put(RunEnded())

    # The thread of `run`

    def run(self) -> None:
        """Start blocks and look after them until `stop`.

        Raises:
            CnflowError: the provider failed in a way that its seam does not allow; blocks were cancelled as far as
                that was possible.
        """
        stop_watch = None
        try:
            stop_watch = self._provider.watch(self.on_provider_changed)
            while not self._is_stopping:
                self.take_turn()
                self._wait()
        finally:
            self._shutdown.end_watch(stop_watch)
            self._remove_all()

    def take_turn(self) -> None:
        """Handle queued events, query the provider if that is due, decide, and submit. Does not wait."""
        while not self._events.empty():
            self._on_event(self._events.get())
        self._poll_if_due()
        self._decide()
        self._submit()

    def _wait(self) -> None:
        """Handle events until there is something to decide."""
        now = self._clock.now()
        soonest = Seconds(now + _DECISION_PERIOD)
        due = self._blocks.next_submission_at(now)
        until = max(soonest, min(self._next_poll, self._next_poll if due is None else due))
        while not self._is_stopping:
            try:
                event = self._events.get(timeout=max(0.0, until - self._clock.now()))
            except queue.Empty:
                return
            self._on_event(event)
            until = soonest

    def _on_event(self, event: Event) -> None:
        now = self._clock.now()
        match event:
            case ManagerConnected(block, slots):
                self._blocks.on_manager_connected(block, slots, now)
            case ManagerLost(block, slots):
                self._blocks.on_manager_lost(block, slots, now)
            case BlockDrained(block):
                self._carry_out(self._blocks.on_drained(block, now))
            case IdleTimes(seconds):
                self._blocks.on_idle_times(seconds)
            case ProviderChanged():
                soonest = Seconds(self._last_poll + min(_WATCH_PERIOD, self._traits.poll_period))
                self._next_poll = min(self._next_poll, max(now, soonest))
            case TasksAdded() | RunEnded():
                pass

    def _decide(self) -> None:
        self._is_woken, self.enough_for = False, -1  # before the count: a task that is added from now on wakes again
        tasks, activity = self._callbacks.demand()
        self._carry_out(self._blocks.decide(tasks, activity, self._clock.now()))
        self.enough_for = math.inf if self._blocks.is_full else tasks

    def _submit(self) -> None:
        """Submit the blocks that may start now, in one call."""
        batch = [] if self._is_stopping else self._blocks.take_submissions(self._clock.now())
        if not batch:
            return
        requests = [self._callbacks.make_request(block) for block in batch]
        self._requests.update(zip(batch, requests, strict=True))
        self._run_id = requests[0].run
        try:
            answers = self._provider.submit(requests)
        except (ProviderBusyError, BlockRejectedError) as error:
            answers = dict.fromkeys(batch, Refused.by(error))
        except BlockError as error:  # no answer: the system may have started some of them
            answers = dict.fromkeys(batch, Refused(Refusal.UNKNOWN, str(error), error))
        except CnflowError:  # the run ends, and must find what was started
            self._blocks.on_submitted({}, self._clock.now())
            raise
        for block in batch:
            self._log_answer(block, answers.get(block))
        self._carry_out(self._blocks.on_submitted(answers, self._clock.now()))
        for block in batch:
            if self._blocks.stage(block) is None:
                self._requests.pop(block, None)

    def _log_answer(self, block: BlockId, answer: NativeId | Refused | None) -> None:
        if answer is None or isinstance(answer, Refused):
            kind, words = (answer.kind.value, answer.words) if answer else ("unknown", "no answer")
            logger.warning("block %s of executor %s was not accepted (%s): %s", block, self._blocks.label, kind, words)
        else:
            logger.info("block %s is %s", block, answer)

    def _poll_if_due(self) -> None:
        if self._clock.now() < self._next_poll:
            return
        if self._to_remove:
            self._cancel(())
        self._poll()
        for block in self._blocks.late_blocks(self._clock.now()):
            reason = self._lateness_of(block)
            logger.warning("%s", reason)
            self._carry_out(self._blocks.on_connection_timeout(block, reason, self._clock.now()))
        self._carry_out(self._blocks.repeat_drains(self._clock.now()))
        if self._blocks.wants_idle_times:
            self._callbacks.request_idle_times()
        self._last_poll = self._clock.now()
        self._next_poll = Seconds(self._last_poll + self._traits.poll_period)

    def _poll(self) -> None:
        """Ask the provider for blocks whose submission was not confirmed, and for the status of all others."""
        find_error = self._find()
        is_answering = self._query_status()
        if find_error is not None and is_answering and self._failed_finds >= _MOST_FAILED_FINDS:
            self._carry_out(self._blocks.on_unlistable(str(find_error), self._clock.now()))
        is_held_back = find_error is not None and any(not block.managers for block in self._blocks.unconfirmed)
        self._blocks.is_provider_silent = not is_answering or is_held_back

    def _find(self) -> BlockError | None:
        """Look for blocks whose submission got no answer, and for lost ones; return the provider's error."""
        wanted = self._blocks.blocks_without_answer
        if self._run_id is None or not (wanted or self._blocks.lost.are_sought(self._clock.now())):
            return None
        try:
            found = self._provider.find(self._run_id, self._blocks.label)
        except BlockError as error:
            self._failed_finds += 1
            logger.warning("the provider does not list blocks; those without an answer wait: %s", error)
            return error
        self._failed_finds = 0
        for block in wanted:
            if block in found:
                logger.info("block %s was started after all, as %s", block, found[block])
        self._carry_out(self._blocks.on_found(found, self._clock.now()))
        return None

    def _query_status(self) -> bool:
        """Ask the provider for the status of its blocks; return False if it does not answer."""
        natives = self._blocks.natives
        try:
            statuses = self._provider.status(list(natives.values())) if natives else {}
        except BlockError as error:
            logger.warning("the provider does not answer; blocks are left as they are: %s", error)
            return False
        for block, native in natives.items():
            status = statuses.get(native)
            if status is None:
                self._carry_out(self._blocks.on_unreported(block, self._clock.now()))
                continue
            if status.state.is_final:
                status = replace(status, message=self._last_words(block, native, status))
            self._carry_out(self._blocks.on_status(block, status, self._clock.now()))
        return True

    def _last_words(self, block: BlockId, native: NativeId, status: BlockStatus) -> str:
        words = status.message or status.state.value
        return words if "\n" in words else words + self._quoted_log(block, native)

    def _quoted_log(self, block: BlockId, native: NativeId | None) -> str:
        if native is not None and self._traits.logs is LogsVia.ON_REQUEST:
            lines = quoted(self._provider.logs(native, _LOG_LINES))
            if lines:
                return lines
        return quoted_tail(self._requests[block].log_file)

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case OrderDrain(block):
                    logger.info("block %s of executor %s drains", block, self._blocks.label)
                    self._callbacks.drain(block)
                case Remove(block, native):
                    logger.info("block %s (%s) is removed", block, native)
                    self._requests.pop(block, None)
                    self._cancel({native})
                case ReportEnd(block, reason, is_unexpected):
                    logger.log(logging.WARNING if is_unexpected else logging.INFO, "%s", reason)
                    self._callbacks.forget_block(block, reason)
                case Warn(words):
                    logger.warning("%s", words)
                case GiveUp(reason, error):
                    self._callbacks.give_up(error or BlockError(reason))

    def _cancel(self, blocks: Collection[NativeId]) -> None:
        self._to_remove.update(blocks)
        try:
            unconfirmed = self._provider.cancel(list(self._to_remove))
        except BlockError as error:
            unconfirmed = dict.fromkeys(self._to_remove, str(error))
        self._to_remove = set(unconfirmed)
        for native, reason in unconfirmed.items():
            logger.warning("the end of block %s was not confirmed; it is cancelled again later: %s", native, reason)

    def _remove_all(self) -> None:
        natives = self.natives()
        lag = self._traits.status_lag
        unconfirmed = {block.id: block.listed_from(lag) for block in self._blocks.unconfirmed}
        lost = self._blocks.lost.ids
        if self._run_id is not None and (unconfirmed or lost):
            natives |= self._shutdown.find(self._run_id, unconfirmed, lost)
        self._to_remove = self._shutdown.cancel(natives)

    def _lateness_of(self, block: BlockId) -> str:
        request = self._requests[block]
        manager = request.manager
        port = manager.endpoint.rpartition(":")[2]
        addresses = f"{', '.join(manager.hosts)}, port {port}" if manager.hosts else manager.endpoint
        return (
            f"Block {block} of executor {self._blocks.label!r} runs, but for {self._blocks.patience.startup:g} s no "
            f"manager of it was connected. Its managers try {addresses}. If that cannot be reached from there, set "
            f"HighThroughputExecutor(address=...); if they only need longer to start, set startup_timeout of the "
            f"provider.{self._quoted_log(block, self._blocks.natives.get(block))}"
        )
