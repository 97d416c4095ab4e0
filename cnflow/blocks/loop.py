"""Carries out the decisions of `cnflow.blocks.state` in the thread of `run`, which waits for events and nothing else.

::

    executor, interchange ── on_manager_connected, on_drained, wake ... ──> inbox <── answers ── threads of the provider
                                                                              │                        ▲
    run:  ┌──> take events ──> ask for status, if due ──> decide ──> submit ──┼──────── calls ─────────┘
          │         ▲ every poll_period, or at once after the watch           │
          └─────────┴── wait for events, at most until the next of these ─────┘
          until stop: `shutdown` decides how all blocks are cancelled; answers after that cancel what they show

A call of the provider may take minutes, or for ever: it delays calls of its own kind, and no death of another block, no
drain, and not the end of the run.
"""

from __future__ import annotations

import contextlib
import logging
import math
from concurrent.futures import TimeoutError as NoAnswer
from typing import TYPE_CHECKING

from cnflow.blocks.actions import Action, Forget, GiveUp, OrderDrain, Remove, ReportEnd, Warn
from cnflow.blocks.end_of_run import EndOfRun
from cnflow.blocks.events import (
    BlockDrained,
    BlockEmptied,
    Cancelled,
    DrainWanted,
    Event,
    IdleTimes,
    Listed,
    LogRead,
    ManagerConnected,
    ManagerLost,
    ProviderChanged,
    Reported,
    Requested,
    RunEnded,
    Submitted,
    TasksAdded,
    Watching,
)
from cnflow.blocks.lanes import Lanes
from cnflow.blocks.parts import Parts
from cnflow.blocks.polling import Polling, Requests
from cnflow.blocks.provider_calls import ProviderCalls
from cnflow.blocks.provider_threads import ProviderThreads
from cnflow.blocks.removals import Removals
from cnflow.blocks.shutdown import PAUSE, Shutdown
from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError
from cnflow.ids import BlockId, NativeId
from cnflow.model.block import Refusal, Refused
from cnflow.model.traits import LogsVia
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnflow.blocks.callbacks import Callbacks
    from cnflow.blocks.state import Blocks
    from cnflow.interfaces import Provider
    from cnflow.interfaces.provider import Stop
    from cnflow.model.status import BlockReport
    from cnflow.model.traits import Traits

logger = logging.getLogger(__name__)

_DECISION_PERIOD = Seconds(0.05)
"""Shortest time between two decisions: events that come closer together are decided on together."""

_LONGEST_CLOSE = 10.0


class BlockController:
    """Owns the blocks of one executor from request to removal.

    Args:
        blocks: decide; used from the thread of `run`, but for reports.
        provider: used from the threads of its lanes.
        traits: of the provider.
        callbacks: into the executor.
        parts: others for tests.
    """

    def __init__(
        self,
        blocks: Blocks,
        provider: Provider,
        traits: Traits,
        callbacks: Callbacks,
        parts: Parts | None = None,
    ) -> None:
        clock, make_lane, self._inbox = parts or Parts.of(blocks.label)
        self._blocks = blocks
        self._traits = traits
        self._callbacks = callbacks
        self._clock = clock
        lanes = Lanes(make_lane)
        reads_logs = traits.logs is LogsVia.ON_REQUEST
        calls = ProviderCalls(provider, callbacks.ledger)
        self._provider = ProviderThreads(calls, lanes, self._inbox.put, reads_logs=reads_logs)
        self._requests = Requests(callbacks.explain_lateness)
        self._removals = Removals(traits.poll_period)
        self._polling = Polling(blocks, self._provider, traits, clock, self._requests, self._carry_out)
        self._stop_watch: Stop | None = None
        self._is_woken = False
        self._is_stopping = self._run_ends = False
        self.enough_for = math.inf
        """Number of tasks beyond which more blocks may be needed: call `wake` then. Read from any thread."""

    # Any thread

    @property
    def living(self) -> int:
        """Number of blocks that were accepted and have not ended, as far as is known."""
        return self._blocks.living

    def natives(self) -> set[NativeId]:
        """Return the native ids of all blocks that may run, those that are being removed too."""
        return {*self._blocks.natives.values(), *self._removals.natives}

    def unconfirmed(self) -> list[BlockId]:
        """Return the blocks whose submission got no answer, or none yet; lost ones too."""
        submissions = self._blocks.submissions
        return [*{*self._blocks.blocks_without_answer, *submissions.out, *submissions.lost.ids}]

    def reports(self) -> list[BlockReport]:
        """Return a report on each block."""
        return self._blocks.reports(self._clock.now())

    @property
    def present_failure(self) -> str:
        """Words on the last block that failed; empty if one has worked since."""
        return self._blocks.health.present_words

    def explain(self) -> list[str]:
        """Return a sentence on why no further block is asked for; none where nothing limits that but the settings."""
        reason = self._blocks.capacity.demand.allowance.reason
        return [f"No further block is asked for: {reason}"] if reason else []

    def on_manager_connected(self, block: str, slots: int, rank: int = 0, host: str = "") -> None:
        """Queue the event that a manager of *block* registered: that of node number *rank*, which is *host*."""
        self._inbox.put(ManagerConnected(BlockId(block), slots, rank, host))

    def on_manager_lost(self, block: str, slots: int) -> None:
        """Queue the event that a manager of *block* is gone."""
        self._inbox.put(ManagerLost(BlockId(block), slots))

    def on_drained(self, block: str) -> None:
        """Queue the event that no manager of *block* is left that holds a task or will be given one."""
        self._inbox.put(BlockDrained(BlockId(block)))

    def drain(self, block: str) -> None:
        """Queue the user's wish to drain *block*."""
        self._inbox.put(DrainWanted(BlockId(block)))

    def on_emptied(self, block: str) -> None:
        """Queue the event that all managers of *block* have left by their own decision."""
        self._inbox.put(BlockEmptied(BlockId(block)))

    def on_idle_times(self, seconds: Mapping[BlockId, float]) -> None:
        """Queue the time for which each block has held no task."""
        self._inbox.put(IdleTimes(seconds))

    def on_provider_changed(self) -> None:
        """Queue a status query ahead of its time."""
        self._inbox.put(ProviderChanged())

    def wake(self) -> None:
        """Queue a decision, since there are more tasks than `enough_for`; nearly free if one is queued already."""
        if not self._is_woken:
            self._is_woken = True
            self._inbox.put(TasksAdded())

    def adopt(self, natives: Mapping[BlockId, NativeId], next_block: int) -> None:
        """Take over the blocks of another driver; called before `run`."""
        self._blocks.adopt(natives, next_block, self._clock.now())
        requests = self._callbacks.make_requests(list(natives))
        self._requests.add({request.block: request for request in requests})

    def on_run_ending(self) -> None:
        """Expect blocks to end from now on: their managers are ordered to."""
        self._run_ends = True

    def stop(self) -> None:
        """Make `run` remove all blocks and return."""
        self._is_stopping = True
        self._inbox.put(RunEnded())

    # The thread of `run`

    def run(self) -> None:
        """Start blocks and look after them until `stop`.

        Raises:
            CnflowError: the provider failed in a way that its seam does not allow; blocks were cancelled as far as
                that was possible.
        """
        try:
            self._provider.watch(self.on_provider_changed)
            while not self._is_stopping:
                self.take_turn()
                self._wait()
        finally:
            self._end_run()

    def close(self, last: Callable[[], None]) -> None:
        """End the threads of the provider, after `run`; *last* is called once no call is out any more.

        Waits for that, unless a call hangs: `run` has named the blocks that this may leave.

        Raises:
            CnflowError: raised by *last*.
        """
        seconds = 0.5 if self._provider.is_calling else _LONGEST_CLOSE
        with contextlib.suppress(NoAnswer):
            self._provider.close(last).result(seconds)

    def take_turn(self) -> None:
        """Handle queued events, query the provider if that is due, decide, and submit. Does not wait."""
        self._take_events()
        self._poll_if_due()
        self._take_events()
        self._decide()
        self._submit()
        self._take_events()

    def _take_events(self) -> None:
        while not self._inbox.is_empty:
            self._on_event(self._inbox.get(0.0))
            self._cancel()
        self._cancel()

    def _wait(self) -> None:
        """Handle events until there is something to decide."""
        now = self._clock.now()
        soonest = Seconds(now + _DECISION_PERIOD)
        due = (self._polling.next_at, self._blocks.submissions.next_at(now), self._removals.next_at)
        until = max(soonest, min(at for at in due if at is not None))
        while not self._is_stopping:
            try:
                event = self._inbox.get(until - self._clock.now())
            except TimeoutError:
                return
            self._on_event(event)
            until = soonest

    def _on_event(self, event: Event) -> None:
        now = self._clock.now()
        self._provider.on_event(event)
        match event:
            case ManagerConnected(block, slots, rank, host):
                self._blocks.on_manager_connected(block, slots, now, rank, host)
            case ManagerLost(block, slots):
                self._blocks.on_manager_lost(block, slots, now)
            case BlockDrained(block):
                self._carry_out(self._blocks.on_drained(block, now))
            case DrainWanted(block):
                self._carry_out(self._blocks.on_drain_wanted(block, now))
            case BlockEmptied(block):
                self._carry_out(self._blocks.on_emptied(block, now))
            case IdleTimes(seconds):
                self._blocks.on_idle_times(seconds)
            case ProviderChanged():
                self._polling.on_changed(now)
            case TasksAdded() | RunEnded():
                pass
            case _:
                self._on_answer(event, now)

    def _on_answer(self, event: Event, now: Seconds) -> None:
        """Handle an answer of the provider.

        Raises:
            CnflowError: the provider raised what its seam does not allow.
        """
        match event:
            case Requested(requests):
                self._requests.add(requests)
            case Submitted():
                self._on_submitted(event, now)
            case Listed():
                self._polling.on_listed(event, now)
            case Reported():
                self._polling.on_reported(event, now)
            case Cancelled():
                self._on_cancelled(event, now)
            case LogRead(block, text):
                self._polling.on_log(block, text)
            case Watching(stop, error):
                self._stop_watch = stop
                if error is not None:
                    raise error
                if stop is not None:  # what changed before it began was not seen
                    self._polling.on_changed(now)
            case _:
                pass

    def _decide(self) -> None:
        self._is_woken, self.enough_for = False, -1  # before the count: a task that is added from now on wakes again
        demand = self._callbacks.demand()
        self._carry_out(self._blocks.decide(demand, self._clock.now()))
        self.enough_for = math.inf if self._blocks.is_full else demand.tasks

    # Submissions

    def _submit(self) -> None:
        """Submit the blocks that may start now, in one call."""
        now = self._clock.now()
        batch = [] if self._is_stopping else self._blocks.submissions.take_batch(now)
        if batch:
            self._provider.submit(lambda: self._callbacks.make_requests(batch), now)

    def _on_submitted(self, event: Submitted, now: Seconds) -> None:
        batch, answers, error = self._blocks.submissions.out, event.answers, event.error
        match error:
            case ProviderBusyError() | BlockRejectedError():
                answers = dict.fromkeys(batch, Refused.by(error))
            case BlockError():  # no answer: the system may have started some of them
                answers = dict.fromkeys(batch, Refused(Refusal.UNKNOWN, str(error), error))
            case _:
                pass
        for block in batch:
            self._log_answer(block, answers.get(block))
        self._carry_out(self._blocks.submissions.on_answers(answers, now))
        if error is not None and not isinstance(error, BlockError):  # the run ends, and must find what was started
            raise error

    def _log_answer(self, block: BlockId, answer: NativeId | Refused | None) -> None:
        if answer is None or isinstance(answer, Refused):
            kind, words = (answer.kind.value, answer.words) if answer else ("unknown", "no answer")
            logger.warning("block %s of executor %s was not accepted (%s): %s", block, self._blocks.label, kind, words)
        else:
            logger.info("block %s is %s", block, answer)

    def _poll_if_due(self) -> None:
        now = self._clock.now()
        if not self._polling.poll_if_due(now):
            return
        self._carry_out(self._blocks.submissions.on_overdue(self._blocks.tasks, now))
        self._carry_out(self._blocks.repeat_drains(now))
        self._carry_out(self._blocks.nodes.late(now))
        if self._blocks.wants_idle_times:
            self._callbacks.request_idle_times()

    # Ends

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case OrderDrain(block):
                    logger.info("block %s of executor %s drains", block, self._blocks.label)
                    self._callbacks.drain(block)
                case Remove(block, native):
                    logger.info("block %s (%s) is removed", block, native)
                    self._removals.add([native], self._clock.now())
                case ReportEnd(block, reason, is_unexpected):
                    is_news = is_unexpected and not self._run_ends
                    logger.log(logging.WARNING if is_news else logging.INFO, "%s", reason)
                    self._callbacks.report_end(block, reason)
                case Forget(block):
                    self._requests.remove(block)
                    self._callbacks.forget(block)
                case Warn(words):
                    logger.warning("%s", words)
                case GiveUp(reason, error):
                    self._callbacks.give_up(error or BlockError(reason))

    def _cancel(self) -> None:
        """Cancel the blocks that are due, in one call."""
        batch = self._removals.take_batch(self._clock.now())
        if batch:
            self._provider.cancel(batch, self._clock.now())

    def _on_cancelled(self, event: Cancelled, now: Seconds) -> None:
        for native, reason in self._removals.on_cancelled(event.unconfirmed, now).items():
            logger.warning("the end of block %s was not confirmed; it is cancelled again later: %s", native, reason)
        if event.error is not None and not isinstance(event.error, BlockError):
            raise event.error

    def _end_run(self) -> None:
        """Remove all blocks, as far as that can be done in a bounded time; warn of those that may run on."""
        now, lag, submissions = self._clock.now(), self._traits.status_lag, self._blocks.submissions
        self._removals.pause = PAUSE
        self._removals.add(self.natives(), now)
        decisions = Shutdown(self._blocks.label, lambda: self._requests.run, self._removals, lag, now)
        unconfirmed = {block.id: block.listed_from(lag) for block in self._blocks.unconfirmed}
        decisions.begin(submissions.out, unconfirmed, submissions.lost.ids)
        EndOfRun(self._blocks.label, self._provider, self._inbox, self._clock, self._requests).run(
            decisions, self._stop_watch
        )
