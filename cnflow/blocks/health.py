"""Failures of one executor's blocks: words on the last ones, and when to give up. No I/O.

::

    on_refused, on_bad_block, on_hanging ──> another block works, or another try may do better ──> []
                                        └──> else ────────────────────────────────────────────> [GiveUp]
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from cnflow.blocks.actions import GiveUp
from cnflow.blocks.report import no_block_works
from cnflow.model.block import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.blocks.backoff import Backoff
    from cnflow.model.block import Refused
    from cnflow.units import Seconds


class Health:
    """Decides whether an executor is given up.

    Args:
        backoff: counts failures, and delays what comes after them.
        works: returns True while a block runs or is accepted, so that tasks may still be run.
    """

    def __init__(self, backoff: Backoff, works: Callable[[], bool]) -> None:
        self._backoff = backoff
        self._works = works
        self._failures: deque[str] = deque(maxlen=3)

    @property
    def last_words(self) -> str:
        """Words on the last failure; empty if there was none."""
        failures = list(self._failures)  # one step, as seen from other threads
        return failures[-1] if failures else ""

    @property
    def present_words(self) -> str:
        """Words on the last failure; empty if a block has worked since."""
        return self.last_words if self._backoff.failures_in_row else ""

    def on_refused(self, refusals: Sequence[Refused], now: Seconds) -> list[GiveUp]:
        """Follow a batch of which the provider started none; it counts as one failure."""
        if not refusals:
            return []
        self._backoff.on_failed(now)
        worst = next((refused for refused in refusals if refused.kind is Refusal.FOR_GOOD), refusals[-1])
        if worst.kind is not Refusal.FOR_GOOD:
            return self._judge(worst.words)
        give_up = self._judge(worst.words, at_once=not self._backoff.has_succeeded)
        return [action._replace(error=worst.error) for action in give_up]

    def on_bad_block(self, reason: str, now: Seconds, *, is_for_good: bool = False) -> list[GiveUp]:
        """Follow a block that no manager of ever connected, or a batch of such blocks."""
        self._backoff.on_failed(now)
        return self._judge(reason, at_once=is_for_good and not self._backoff.has_succeeded)

    def on_unused_block(self, reason: str, now: Seconds) -> list[GiveUp]:
        """Follow a block that ended without having run a task, though tasks waited for it."""
        self._backoff.on_unused(now)
        return self._judge(reason)

    def on_hanging(self, reason: str) -> list[GiveUp]:
        """Follow a submission that does not return, so that no other block can be asked for."""
        return self._judge(reason, at_once=True)

    def _judge(self, reason: str, *, at_once: bool = False) -> list[GiveUp]:
        self._failures.append(reason)
        if self._works() or not (at_once or self._backoff.is_hopeless):
            return []
        return [GiveUp(no_block_works(self._failures, self._backoff.failures_in_row))]
