"""Providers that are passed over after their blocks were given up, and for how long. No I/O.

::

    on_given_up ──> passed over for 5 minutes ──> asked again: one block ──> it works: on_works ──> as if nothing was
                       ▲  10, 20, 40, 60 minutes         └── given up again ──┐
                       └──────────────────────────────────────────────────────┘
    refused for good ──> passed over until the end of the run
    all of them, and none has a block ──> the executor's tasks fail with the reasons of all
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.errors import BlockError, BlockRejectedError, BudgetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.errors import CnflowError
    from cnflow.units import Seconds

_FIRST_PAUSE = 300.0
_LONGEST_PAUSE = 3600.0


class Troubles:
    """Providers of one executor that are passed over.

    Args:
        labels: of the providers.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._errors: dict[str, CnflowError] = {}
        self._until: dict[str, float] = {}
        self._times: dict[str, int] = {}

    def on_given_up(self, label: str, error: CnflowError, now: Seconds, *, is_final: bool = False) -> bool:
        """Pass a provider over from now on; return True if it was not passed over already."""
        if self.is_passed_over(label, now):
            return False
        times = self._times[label] = self._times.get(label, 0) + 1
        self._errors[label] = error
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(times - 1, 10))
        self._until[label] = (
            math.inf if is_final or isinstance(error, (BlockRejectedError, BudgetError)) else now + pause
        )
        return True

    def on_works(self, label: str) -> None:
        """Forget what was: a block of the provider has connected."""
        for known in (self._errors, self._until, self._times):
            known.pop(label, None)

    def is_passed_over(self, label: str, now: Seconds) -> bool:
        """Return True while no block is asked of the provider."""
        return now < self._until.get(label, -math.inf)

    def reason(self, label: str, now: Seconds) -> str:
        """Return why the provider is passed over, and how long; empty if it is not."""
        if not self.is_passed_over(label, now):
            return ""
        until = self._until[label]
        again = "" if math.isinf(until) else f" It is asked again in {until - now:.0f} s."
        return f"{self._errors[label]}{again}"

    def verdict(self, now: Seconds, living: Mapping[str, int]) -> CnflowError | None:
        """Return the error of all tasks if every provider is passed over and none has a block; else None.

        Args:
            now: time of the question.
            living: blocks of each provider that are accepted.
        """
        if any(living.values()) or not all(self.is_passed_over(label, now) for label in self._labels):
            return None
        first, *others = (self._errors[label] for label in self._labels)
        if not others or all(isinstance(error, BudgetError) for error in (first, *others)):
            return first
        lines = [f"{label}: {self._errors[label]}" for label in self._labels]
        words = "\n".join([f"None of the {len(lines)} providers of the executor has a block that works.", *lines])
        rejected = all(isinstance(error, BlockRejectedError) for error in (first, *others))
        return BlockRejectedError(words) if rejected else BlockError(words)
