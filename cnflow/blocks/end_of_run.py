"""Carries out the decisions of `cnflow.blocks.shutdown`: the last loop of a controller's thread.

::

    Shutdown ── cancels, finds ──> threads of the provider ── answers ──> inbox ──> Shutdown
                    over ──> inbox closed: an answer that comes later cancels what it shows, in its own thread
                         └─> warnings on the blocks that may run on
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnflow.blocks.events import Cancelled, Listed, Requested, Submitted, Watching
from cnflow.blocks.provider_threads import Search

if TYPE_CHECKING:
    from cnflow.blocks.events import Event
    from cnflow.blocks.inbox import Inbox
    from cnflow.blocks.polling import Requests
    from cnflow.blocks.provider_threads import ProviderThreads
    from cnflow.blocks.shutdown import Shutdown
    from cnflow.clock import Clock
    from cnflow.interfaces.provider import Stop

logger = logging.getLogger(__name__)


class EndOfRun:
    """Removes all blocks of one executor in a bounded time.

    Args:
        label: of the executor.
        provider: cancels and finds.
        inbox: of the answers.
        clock: read between them.
        requests: hold the id of the run.
    """

    def __init__(
        self, label: str, provider: ProviderThreads, inbox: Inbox[Event], clock: Clock, requests: Requests
    ) -> None:
        self._label = label
        self._provider = provider
        self._inbox = inbox
        self._clock = clock
        self._requests = requests

    def run(self, decisions: Shutdown, stop_watch: Stop | None) -> None:
        """Return once all blocks are removed, or their time is over."""
        if stop_watch is not None:
            self._provider.end_watch(stop_watch, self._label)
        while not decisions.is_over(self._clock.now()):
            now = self._clock.now()
            batch = decisions.take_cancels(now)
            if batch:
                self._provider.cancel(batch, now)
            run = self._requests.run
            if run is not None and self._provider.querying_since is None and decisions.take_find(now):
                self._provider.query({}, Search(run, self._label), now)
            try:
                event = self._inbox.get(decisions.next_at(now) - self._clock.now())
            except TimeoutError:
                continue
            self._on_event(event, decisions)
        self._inbox.close(lambda event: self._provider.on_late(event, self._label))
        for words in decisions.warnings:
            logger.warning("%s", words)

    def _on_event(self, event: Event, decisions: Shutdown) -> None:
        now = self._clock.now()
        self._provider.on_event(event)
        match event:
            case Requested(requests):
                self._requests.add(requests)
            case Submitted(answers):
                decisions.on_submitted(answers, now)
            case Listed(_, found, error):
                decisions.on_found(found, str(error or ""), now)
            case Cancelled(unconfirmed):
                decisions.on_cancelled(unconfirmed, now)
            case Watching(stop):
                if stop is not None:
                    self._provider.end_watch(stop, self._label)
            case _:  # nothing else matters any more
                pass
