"""Situation of each provider of one executor, as its blocks, its budget and its troubles show it.

::

    blocks, allowance ──> Situations.of ──────> Situation, by which `shares` divides the tasks
                              │ a block has connected since: it works again
    given up, budget spent ──> pass_over ──> `trouble` ──> verdict: the error of all tasks, once none is left
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.allowance import ALL, Allowance
from cnflow.blocks.several.shares import Situation
from cnflow.blocks.several.trouble import Troubles
from cnflow.errors import BudgetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cnflow.blocks.loop import BlockController
    from cnflow.blocks.state import Blocks
    from cnflow.errors import CnflowError
    from cnflow.units import Seconds

logger = logging.getLogger(__name__)


class Member(NamedTuple):
    """One provider of the executor."""

    label: str
    blocks: Blocks
    controller: BlockController
    limit: Callable[[], Allowance] | None = None
    """Returns what a budget allows its blocks."""

    def allowance(self) -> Allowance:
        """Return what is allowed from outside."""
        return ALL if self.limit is None else self.limit()


class Situations:
    """Tells how each provider stands, and which are passed over.

    Args:
        executor: its label, for messages.
        members: the providers; `SeveralControllers` adds them later.
        labels: of the providers, in order of preference.
        wall_clock: seconds since 1970, for expected starts.
    """

    def __init__(
        self,
        executor: str,
        members: Sequence[Member],
        labels: Sequence[str],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._executor = executor
        self._members = members
        self._troubles = Troubles(labels)
        self._wall_clock = wall_clock
        self._logged: dict[str, str] = {}
        """Trouble of each provider that was logged last."""

        self._connections: dict[str, int] = {}
        """Blocks of each provider that had connected when it was passed over, or was looked at last."""

        self._ended: set[str] = set()
        """Providers whose controller has failed: what it knew last of its blocks is true no more."""

    def of_all(self, limits: Sequence[Allowance], now: Seconds) -> list[Situation]:
        """Return the situation of each provider under what its budget allows."""
        return [self._of(member, limit, now) for member, limit in zip(self._members, limits, strict=True)]

    def pass_over(self, label: str, error: CnflowError, now: Seconds, *, is_final: bool = False) -> bool:
        """Pass a provider over; return True if it was not passed over already."""
        is_new = self._troubles.on_given_up(label, error, now, is_final=is_final)
        for member in self._members:
            if member.label == label:  # a block that connected before is no sign that it works now
                self._connections[label] = member.blocks.connections
        if is_new:
            logger.warning("executor %s passes over its provider %s: %s", self._executor, label, error)
        return is_new

    def on_limits(self, limits: Sequence[Allowance], now: Seconds, *, has_tasks: bool) -> None:
        """Pass over the providers whose budget is spent, and ask those again that have a new one."""
        for member, limit in zip(self._members, limits, strict=True):
            if not limit.is_final:
                self._troubles.on_budget(member.label)
            elif has_tasks:
                self.pass_over(member.label, BudgetError(limit.reason), now)

    def on_ended(self, label: str) -> None:
        """Count the blocks of a provider for nothing from now on: its controller has failed."""
        self._ended.add(label)

    def reason(self, label: str, now: Seconds) -> str:
        """Return why a provider is passed over; empty if it is not."""
        return self._troubles.reason(label, now)

    def verdict(self, now: Seconds) -> CnflowError | None:
        """Return the error of all tasks if no provider is left that may run them; else None."""
        return self._troubles.verdict(
            now, lambda: any(each.blocks.table.may_run for each in self._members if each.label not in self._ended)
        )

    def _of(self, member: Member, limit: Allowance, now: Seconds) -> Situation:
        blocks, label = member.blocks, member.label
        table, capacity = blocks.table, blocks.capacity
        if label in self._ended:
            return Situation(label, 0, 0, 0, 1, 1.0, 0.0, blocks.connections, "", self.reason(label, now))
        if blocks.connections > self._connections.get(label, 0):
            self._connections[label] = blocks.connections
            self._troubles.on_works(label)
        trouble = blocks.trouble
        if trouble and self._logged.get(label) != trouble:
            logger.info("executor %s: provider %s has trouble, others are asked: %s", self._executor, label, trouble)
        self._logged[label] = trouble
        room = capacity.most - len(table)
        return Situation(
            label,
            table.active_slots,
            len(table.coming),
            room if limit.further is None else min(room, limit.further - len(table.waiting)),
            capacity.slots_per_block,
            capacity.limits.parallelism,
            self._starts_in(blocks, now),
            blocks.connections,
            trouble,
            self.reason(label, now),
            len(table.waiting),
            len(table.unanswered),
        )

    def _starts_in(self, blocks: Blocks, now: Seconds) -> float:
        """Return the seconds until a block connects: the system's own estimate, or by the starts before."""
        oldest = next(iter(list(blocks.table.coming.values())), None)
        if oldest is None:
            return blocks.starts.starts_in(0.0)
        status = oldest.last_status
        if status is not None and status.starts_at is not None and oldest.is_queued:
            return max(0.0, status.starts_at - self._wall_clock())
        return blocks.starts.starts_in(now - oldest.requested_at)
