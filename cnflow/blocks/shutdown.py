"""Removal of all blocks at the end of a run. Every step is tried, whatever the one before it raised.

::

    end the watch ──> find blocks without an answer ──> all listed ──────────────> cancel ──> confirmed ──> end
                          ▲        │                                                ▲  │
                          └─ 1 s ──┤ raised, up to 10 s                             └──┤ not confirmed, or raised:
                                   ├ not listed, status lag not over                   │
                                   └ lag over, or 60 s: warning names them ──> cancel  │ every second, up to 10 s
                                                                                       └─> warning with native ids
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnflow.model.block import block_name
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from cnflow.blocks.provider_calls import ProviderCalls
    from cnflow.clock import Clock
    from cnflow.ids import BlockId, NativeId, RunId
    from cnflow.interfaces.provider import Stop

logger = logging.getLogger(__name__)

_PAUSE = Seconds(1.0)

LONGEST_SEARCH = Seconds(60.0)
"""Longest wait for blocks that the provider's system does not list yet; `Traits.status_lag` is the usual one."""

LONGEST_CANCEL = Seconds(10.0)
"""Time for which a find that failed is repeated, and blocks whose end was not confirmed are cancelled again."""


class Shutdown:
    """Finds and cancels all blocks of one executor.

    Args:
        provider: of the blocks.
        label: of the executor.
        clock: read between attempts.
        pause: waits between attempts; takes seconds.
    """

    def __init__(self, provider: ProviderCalls, label: str, clock: Clock, pause: Callable[[float], None]) -> None:
        self._provider = provider
        self._label = label
        self._clock = clock
        self._pause = pause

    def end_watch(self, stop: Stop | None) -> None:
        """End the provider's watch."""
        try:
            if stop is not None:
                stop()
        except Exception:  # the provider may be any code, and blocks are still to be cancelled
            logger.exception("the watch of executor %s's provider could not be ended", self._label)

    def find(self, run: RunId, unconfirmed: Mapping[BlockId, Seconds], lost: Collection[BlockId]) -> set[NativeId]:
        """Return the native ids of the blocks that the provider lists.

        Args:
            run: id of the run.
            unconfirmed: blocks whose submission got no answer, with the time until which the system may not list them.
            lost: blocks that were given up; there is no waiting for them.
        """
        start = self._clock.now()
        lag_over = Seconds(min(start + LONGEST_SEARCH, max(unconfirmed.values(), default=0.0)))
        while True:
            try:
                found, error = self._provider.find(run, self._label), None
            except Exception as raised:  # noqa: BLE001 - any provider; the others are cancelled all the same
                found, error = {}, raised
            missing = [block for block in unconfirmed if block not in found]
            deadline = max(lag_over, start + LONGEST_CANCEL) if error else lag_over
            remaining = deadline - self._clock.now()
            if not missing or remaining <= 0:
                break
            self._pause(min(_PAUSE, remaining))
        missing += [block for block in lost if block not in found]
        if missing:
            names = ", ".join(block_name(run, self._label, block) for block in missing)
            why = f"{error}" if error else "the provider does not list them"
            logger.warning("the submission of blocks %s got no answer; they may run on: %s", names, why)
        return set(found.values())

    def cancel(self, natives: set[NativeId]) -> set[NativeId]:
        """Cancel blocks, again where that was not confirmed; return those that may run on."""
        deadline: float | None = None
        while natives:
            try:
                unconfirmed = self._provider.cancel(list(natives))
            except Exception as error:  # noqa: BLE001 - any provider; the next attempt may succeed
                unconfirmed = dict.fromkeys(natives, str(error))
            natives = set(unconfirmed)
            now = self._clock.now()
            deadline = now + LONGEST_CANCEL if deadline is None else deadline
            if now >= deadline:
                break
            if natives:
                self._pause(_PAUSE)
        for native in sorted(natives):
            logger.warning(
                "the end of block %s of executor %s was not confirmed; it may run on: %s",
                native,
                self._label,
                unconfirmed[native],
            )
        return natives
