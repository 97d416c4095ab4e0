"""Asks the provider for the status of blocks, and follows its answers. Used from the controller's thread.

::

    poll_period, or the watch ──> poll_if_due ──> query: find if a submission got no answer, then status
                                      │                   │ on_listed        │ on_reported, block by block
                                      │                   ▼                  ▼
                                      │               adopted or lost    it ended ──> its log is read ──> on_status
                                      └──> blocks that are late ──> their log is read ──> on_connection_timeout

The next query begins a period after the answer to the last one, however long that took.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cnflow.blocks.last_words import LastWords
from cnflow.blocks.provider_threads import Search
from cnflow.blocks.submissions import SLOW_CALL
from cnflow.errors import BlockError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cnflow.blocks.actions import Action
    from cnflow.blocks.events import Listed, Reported
    from cnflow.blocks.provider_threads import ProviderThreads
    from cnflow.blocks.state import Blocks
    from cnflow.clock import Clock
    from cnflow.errors import CnflowError
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.model.block import BlockRequest, BlockStatus
    from cnflow.model.traits import Traits

logger = logging.getLogger(__name__)

_WATCH_PERIOD = Seconds(1.0)
"""Shortest time between two status queries that the provider's watch causes, unless `Traits.poll_period` is shorter."""

_MOST_FAILED_FINDS = 5
"""Calls of `Provider.find` in a row that failed, after which blocks without an answer are given up."""


class Requests:
    """Requests of the blocks that are not forgotten.

    Args:
        explain_lateness: see `Callbacks`.
    """

    def __init__(self, explain_lateness: Callable[[BlockId], str] | None) -> None:
        self.explain_lateness = explain_lateness
        self._requests: dict[BlockId, BlockRequest] = {}
        self.run: RunId | None = None
        """None before the first request."""

    def get(self, block: BlockId) -> BlockRequest | None:
        """Return the request for *block*."""
        return self._requests.get(block)

    def add(self, requests: Mapping[BlockId, BlockRequest]) -> None:
        """Add requests that are submitted now."""
        self._requests.update(requests)
        self.run = next((request.run for request in requests.values()), self.run)

    def remove(self, block: BlockId) -> None:
        """Forget the request for *block*."""
        self._requests.pop(block, None)


class Polling:
    """Status of one executor's blocks; see the module.

    Args:
        blocks: decide what follows from a status.
        provider: is asked.
        traits: of the provider.
        clock: read when a log was read.
        requests: for the log files, and for what a message quotes.
        carry_out: carries out decisions.
    """

    def __init__(
        self,
        blocks: Blocks,
        provider: ProviderThreads,
        traits: Traits,
        clock: Clock,
        requests: Requests,
        carry_out: Callable[[Iterable[Action]], None],
    ) -> None:
        self._blocks = blocks
        self._provider = provider
        self._traits = traits
        self._clock = clock
        self._requests = requests
        self._carry_out = carry_out
        self._last_words = LastWords()
        self._find_error: CnflowError | None = None
        """Error of the search that belongs to the present query; None if it succeeded."""

        self._failed_finds = 0
        """Number of searches in a row that failed."""

        self._silent_since: Seconds | None = None
        """Time of the first query without an answer; None if the last one was answered."""

        self._next_poll = self._last_poll = clock.now()
        self._is_changed = False
        """The provider's watch reported a change while a query was out."""

    @property
    def next_at(self) -> Seconds:
        """Time of the next `poll_if_due`."""
        words = self._last_words.next_at
        return self._next_poll if words is None else min(words, self._next_poll)

    def on_changed(self, now: Seconds) -> None:
        """Ask soon: the provider's watch reports that a block may have another status."""
        if self._provider.querying_since is not None:
            self._is_changed = True
            return
        soonest = Seconds(self._last_poll + min(_WATCH_PERIOD, self._traits.poll_period))
        self._next_poll = min(self._next_poll, max(now, soonest))

    def poll_if_due(self, now: Seconds) -> bool:
        """Query the provider if that is due and no query is out; return True if the time for it has come."""
        self._last_words.on_tick(now)
        if now < self._next_poll:
            return False
        self._next_poll = Seconds(now + self._traits.poll_period)
        since = self._provider.querying_since
        if since is None:
            self._query(now)
        elif now - since >= SLOW_CALL and not self._blocks.submissions.is_provider_silent:
            label = self._blocks.label
            logger.warning("the provider of executor %s has not reported on blocks for %.0f s", label, now - since)
            self._blocks.submissions.is_provider_silent = True
        for block in self._blocks.late_blocks(now) if self._silent_since is None else ():
            self._end_late(block, now)
        return True

    def _query(self, now: Seconds) -> None:
        """Ask the provider for blocks whose submission was not confirmed, and for the status of all others."""
        submissions = self._blocks.submissions
        is_sought = bool(self._blocks.blocks_without_answer) or submissions.lost.are_sought(now)
        run = self._requests.run
        search = Search(run, self._blocks.label) if run is not None and is_sought else None
        self._find_error, natives = None, self._blocks.natives
        if search or natives:
            self._provider.query(natives, search, now)
        else:
            submissions.is_provider_silent = False

    def on_listed(self, event: Listed, now: Seconds) -> None:
        """Adopt blocks that the provider lists.

        Raises:
            CnflowError: the provider raised what its seam does not allow.
        """
        self._find_error = error = event.error
        if isinstance(error, BlockError):
            self._failed_finds += 1
            logger.warning("the provider does not list blocks; those without an answer wait: %s", error)
            return
        if error is not None:
            raise error
        self._failed_finds = 0
        for block in self._blocks.blocks_without_answer:
            if block in event.found:
                logger.info("block %s was started after all, as %s", block, event.found[block])
        self._carry_out(self._blocks.submissions.on_found(event.found, now, event.asked_at))

    def on_reported(self, event: Reported, now: Seconds) -> None:
        """Follow the status of all blocks that were asked for.

        Raises:
            CnflowError: as `on_listed`.
        """
        self._last_poll = now
        soon = min(_WATCH_PERIOD, self._traits.poll_period) if self._is_changed else self._traits.poll_period
        self._next_poll, self._is_changed = Seconds(now + soon), False
        error = event.error
        if error is not None and not isinstance(error, BlockError):
            raise error
        if error is not None:
            logger.warning("the provider does not answer; blocks are left as they are: %s", error)
            self._silent_since = now if self._silent_since is None else self._silent_since
        else:
            if self._silent_since is not None:
                self._blocks.submissions.on_silence(Seconds(now - self._silent_since))
                self._silent_since = None
            for block, native in event.asked.items():
                self._on_status(block, native, event.statuses.get(native), event.asked_at)
        find_error, submissions = self._find_error, self._blocks.submissions
        if find_error is not None and error is None and self._failed_finds >= _MOST_FAILED_FINDS:
            self._carry_out(submissions.on_unlistable(str(find_error), now))
        is_held_back = find_error is not None and any(not block.managers for block in self._blocks.unconfirmed)
        submissions.is_provider_silent = error is not None or is_held_back

    def _on_status(self, block: BlockId, native: NativeId, status: BlockStatus | None, asked_at: Seconds) -> None:
        now = self._clock.now()
        if status is None:
            self._carry_out(self._blocks.on_unreported(block, now))
        elif self._last_words.is_wanted(block) or not self._blocks.has_news(block, native, status, asked_at):
            return
        elif not status.state.is_final or "\n" in status.message:  # a message of several lines quotes a log already
            self._carry_out(self._blocks.on_status(block, status, now))
        else:
            words = status.message or ("It exited with code 0." if status.exit_code == 0 else status.state.value)
            self._read_log(block, lambda log: self._on_end(block, replace(status, message=words + log)), now)

    def on_log(self, block: BlockId, text: str) -> None:
        """Go on with what waits for the log of *block*."""
        self._last_words.on_read(block, text)

    def _on_end(self, block: BlockId, status: BlockStatus) -> None:
        self._carry_out(self._blocks.on_status(block, status, self._clock.now()))

    def _end_late(self, block: BlockId, now: Seconds) -> None:
        """End a block whose manager did not connect in time, once its log is read."""

        def end(log: str) -> None:
            reason = self._lateness_of(block) + log
            actions = self._blocks.on_connection_timeout(block, reason, self._clock.now())
            if actions:
                logger.warning("%s", reason)
            self._carry_out(actions)

        if not self._last_words.is_wanted(block):
            self._read_log(block, end, now)

    def _read_log(self, block: BlockId, then: Callable[[str], None], now: Seconds) -> None:
        request, native = self._requests.get(block), self._blocks.native(block)
        self._last_words.want(block, then, now)
        log_file = request.log_file if request else None
        self._provider.read_log(block, native, log_file, lambda: self._last_words.is_wanted(block))

    def _lateness_of(self, block: BlockId) -> str:
        request = self._requests.get(block)
        advice = "If that cannot be reached from there, set HighThroughputExecutor(address=...), or way=Listen()"
        if self._requests.explain_lateness is not None:
            advice = self._requests.explain_lateness(block)
        elif request is not None:
            manager = request.manager
            port = manager.endpoint.rpartition(":")[2]
            addresses = f"{', '.join(manager.hosts)}, port {port}" if manager.hosts else manager.endpoint
            advice = f"Its managers try {addresses}. {advice}"
        return (
            f"Block {block} of executor {self._blocks.label!r} runs, but for {self._blocks.patience.startup:g} s no "
            f"manager of it was connected. {advice}; if they only need longer to start, set startup_timeout of "
            f"the provider."
        )
