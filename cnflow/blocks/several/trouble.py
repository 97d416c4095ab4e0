"""Providers that are passed over after their blocks were given up, and for how long. No I/O.

::

    on_given_up ──> passed over for 5 minutes ──> asked again: one block ──> it works: on_works ──> as if nothing was
                       ▲  10, 20, 40, 60 minutes         └── given up again ──┐
                       └──────────────────────────────────────────────────────┘
    refused for good ──> passed over until the end of the run
    budget spent ──> passed over until it allows blocks again: on a new day
    all of them, and none has a block ──> the executor's tasks fail with the reasons of all
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnflow.errors import BlockError, BlockRejectedError, BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
        self._lost: set[str] = set()
        """Those of which nothing will come whatever happens."""

        self._times: dict[str, int] = {}

    def on_given_up(self, label: str, error: CnflowError, now: Seconds, *, is_final: bool = False) -> bool:
        """Pass a provider over from now on; return True if it was not passed over already."""
        ends = is_final or isinstance(error, (BlockRejectedError, BudgetError))
        is_new = not self.is_passed_over(label, now)
        if is_final:
            self._lost.add(label)
        if not is_new and (not ends or math.isinf(self._until[label])):
            return False
        times = self._times[label] = self._times.get(label, 0) + 1
        self._errors[label] = error
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(times - 1, 10))
        self._until[label] = math.inf if ends else now + pause
        return is_new

    def on_works(self, label: str) -> None:
        """Forget what was: a block of the provider has connected."""
        if label in self._lost:
            return
        for known in (self._errors, self._until, self._times):
            known.pop(label, None)

    def on_budget(self, label: str) -> None:
        """Ask a provider again that a budget had ended: a new day has begun."""
        if isinstance(self._errors.get(label), BudgetError):
            self.on_works(label)

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

    def verdict(self, now: Seconds, has_blocks: Callable[[], bool]) -> CnflowError | None:
        """Return the error of all tasks if every provider is passed over and none has a block; else None.

        Args:
            now: time of the question.
            has_blocks: returns True if a block may still run tasks; asked only where no further one will come.
        """
        if not all(self.is_passed_over(label, now) for label in self._labels) or has_blocks():
            return None
        first, *others = (self._errors[label] for label in self._labels)
        if not others or all(isinstance(error, BudgetError) for error in (first, *others)):
            return first
        lines = [f"{label}: {self._errors[label]}" for label in self._labels]
        words = "\n".join([f"None of the {len(lines)} providers of the executor has a block that works.", *lines])
        rejected = all(isinstance(error, BlockRejectedError) for error in (first, *others))
        return BlockRejectedError(words) if rejected else BlockError(words)
