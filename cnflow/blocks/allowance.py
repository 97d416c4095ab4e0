"""Limits that others set on the blocks of one executor for the moment: a budget, the other providers. No I/O.

::

    demand of the tasks ──gates──> Demand(..., allowance) ──> decide: strategy, then
                                                  further ──> waiting blocks beyond it are dropped, requests are cut
                                                withdrawn ──> blocks without a manager are given up, the least far first
                                                   drains ──> all drain
                                                     ends ──> all are removed at once, with the tasks that they run
                                                 is_final ──> tasks that no block is left for fail: BudgetError
"""

from __future__ import annotations

import threading
from typing import NamedTuple


class Allowance(NamedTuple):
    """Limits for one decision."""

    further: int | None = None
    """Blocks that may be submitted from now on, beyond those that were submitted already; None is no limit."""

    withdrawn: int = 0
    """Blocks that are given up, of those without a connected manager."""

    drains: bool = False
    """All blocks are given no further task."""

    ends: bool = False
    """All blocks are removed at once; comes with `drains`."""

    is_final: bool = False
    """No block will be allowed any more."""

    reason: str = ""
    """Why no block is asked for, for the user; empty without a limit."""

    def and_(self, other: Allowance) -> Allowance:
        """Return the limits of both."""
        limits = [each.further for each in (self, other) if each.further is not None]
        return Allowance(
            min(limits, default=None),
            max(self.withdrawn, other.withdrawn),
            self.drains or other.drains,
            self.ends or other.ends,
            self.is_final or other.is_final,
            " ".join(dict.fromkeys(filter(None, (self.reason, other.reason)))),
        )


ALL = Allowance()


class BlockNumbers:
    """Numbers of the blocks of one executor, whose providers count them together. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0

    def take(self) -> int:
        """Return a number that no block has had."""
        with self._lock:
            number, self._next = self._next, self._next + 1
        return number

    def start_at(self, number: int) -> None:
        """Count from *number* on, since earlier ones were another driver's."""
        with self._lock:
            self._next = max(self._next, number)
