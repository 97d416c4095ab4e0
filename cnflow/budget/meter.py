"""Counts what blocks spend, and decides whether more may start, and when they must end. No I/O.

Rule 1: all times are of one clock, and are arguments.
Rule 2: a block is paid from its request on until `Billing.shutdown` after its end was ordered, and for at least
`Billing.minimum`, though its cloud may charge less.
Rule 3: whatever is started leaves room for its own end: with `committed`, the sum if everything was ended at once, the
limit holds at any time.

::

    spent ────────────────────────────────────────────────────────────────> limit
      │ a block starts only if, with   │ 80 %:   │ what runs for        │ what runs for the time
      │ it, all can run for twice its  │ `Notice`│ `drain_time` more    │ to the next look more
      │ startup and `drain_time`, and  │         │ would reach it:      │ would reach it:
      │ be ended                       │         │ drains, for good     │ ends: removed at once
      ▼                                ▼         ▼                      ▼
    Ruling(further=n)                            Ruling(further=0,      Ruling(further=0, ends=True)
                                                        drains=True)

"For good" is until the next day for a budget per day. Sums are kept, so that a ruling costs the same for any number of
blocks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cnflow.budget.amounts import NOTHING, Amounts, Limit, per_second, render
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.budget.amounts import Billing
    from cnflow.model.machine import Rate

NOTICE_AT = 0.8
"""Part of the limit at which the user is warned."""

_NEGLIGIBLE = 1e-12
_LOOKED_AT = 200
"""Young blocks that a ruling looks at one by one; of more, all are taken for new."""

Key = Hashable


class Ruling(NamedTuple):
    """Decision about the blocks of one provider."""

    further: int | None = None
    """Blocks that may be submitted now; None is any number."""

    drains: bool = False
    """Those that run are to finish their tasks, and end."""

    withdraws: bool = False
    """Those that wait in their provider's queue are to be withdrawn: the limit leaves no room for their start."""

    ends: bool = False
    """All are to end at once."""

    is_final: bool = False
    """Nothing will be allowed any more, as long as the limit stays."""

    reason: str = ""
    """For the user; empty where nothing is held back."""


UNLIMITED = Ruling()


class Others(NamedTuple):
    """Spending of other runs of the same budget."""

    spent: Amounts = Amounts()
    """Until `at`."""

    burn: Amounts = Amounts()
    """Each second."""

    reserve: Amounts = Amounts()
    """Cost of their blocks after the order to end."""

    at: Seconds = Seconds(0.0)


@dataclass
class Charge:
    """A block that is paid."""

    billing: Billing
    since: Seconds
    per_second: Amounts
    is_queued: bool = False
    """It waits in its provider's queue, which costs nothing."""

    is_overhead: bool = False
    """No block: it is paid as long as its executor lives."""

    def short_of_minimum(self, at: float) -> float:
        """Return the seconds that are paid beyond its shutdown if it is ordered to end at the time *at*."""
        return max(0.0, self.billing.minimum - self.billing.shutdown - (at - self.since))


class Meter:
    """Spending of one budget; see the module for its rules.

    Args:
        limit: most that may be spent.
        drain_time: seconds that running tasks get to finish before the limit.
        settled: spent before, by a driver whose run is taken over.
    """

    def __init__(self, limit: Limit, drain_time: Seconds, settled: Amounts = NOTHING) -> None:
        self.limit = limit
        self._drain_time = drain_time
        self._settled = settled
        self._others = Others()
        self._period = Seconds(0.0)
        """Longest `Billing.poll_period` so far: every block that is to end does so within it."""

        self._charges: dict[Key, Charge] = {}
        self._burn = Amounts()
        self._offset = Amounts()
        """With `_burn`, what open blocks have spent at *t*: ``_burn * t - _offset``."""

        self._reserve = Amounts()
        """What open blocks cost after the order to end."""

        self._queued = self._queued_reserve = Amounts()
        """Burn and reserve of the blocks that wait in a queue, once they run."""

        self._overhead = Amounts()
        """Part of `_burn` that no end of a block ends."""

        self._young: dict[Key, Charge] = {}
        """Blocks that have not run for the shortest time that is paid, in the order of their starts, or nearly."""

        self._longest_minimum = 0.0
        self._is_spent: set[str] = set()
        """Fields of `limit` for which blocks drain."""

        self._noticed: set[str] = set()

    # Events

    def on_opened(
        self, key: Key, billing: Billing, now: Seconds, rate: Rate | None = None, *, is_overhead: bool = False
    ) -> None:
        """Charge for a block from *now* on, or follow the *rate* of one that is charged for already, from its start."""
        rate = billing.rate if rate is None else rate
        self._period = max(self._period, billing.poll_period)
        if rate.usd_per_hour is None:  # chosen, and without a price: the estimate stands
            rate = rate._replace(usd_per_hour=billing.rate.usd_per_hour)
        before = self._charges.get(key)
        was_paid = before is not None and not before.is_queued
        if (
            before is not None
            and was_paid
            and (before.per_second, before.is_overhead) == (per_second(rate), is_overhead)
        ):
            return
        since = before.since if before is not None and was_paid else now
        self._put(key, Charge(billing, since, per_second(rate), is_overhead=is_overhead))

    def on_queued(self, key: Key, billing: Billing, now: Seconds) -> None:
        """Keep room for a block that will be paid once it runs; one that is paid already stays so."""
        self._period = max(self._period, billing.poll_period)
        if key not in self._charges:
            self._put(key, Charge(billing, now, per_second(billing.rate), is_queued=True))

    def on_closed(self, key: Key, now: Seconds, *, is_confirmed: bool = False) -> None:
        """Charge no more for a block whose end was ordered *now*, or is confirmed; an unknown one is no error."""
        self._young.pop(key, None)
        charge = self._charges.pop(key, None)
        if charge is None:
            return
        self._add(charge, -1)
        if charge.is_queued:
            return
        paid = max(now - charge.since + (0.0 if is_confirmed else charge.billing.shutdown), charge.billing.minimum)
        self._settled = self._settled.plus(charge.per_second, paid)
        if not self._charges:  # rounding errors of sums end here
            self._burn = self._offset = self._reserve = self._overhead = Amounts()
            self._queued = self._queued_reserve = Amounts()

    def on_dropped(self, key: Key) -> None:
        """Charge nothing for a block that was never started."""
        self._young.pop(key, None)
        charge = self._charges.pop(key, None)
        if charge is not None:
            self._add(charge, -1)

    def on_new_day(self, now: Seconds) -> None:
        """Begin to count anew, from *now* on."""
        self._settled, self._others = Amounts(), Others()
        self._is_spent.clear()
        self._noticed.clear()
        for charge in self._charges.values():
            self._add(charge, -1)
            charge.since = max(charge.since, now)
            self._add(charge, 1)

    def on_others(self, others: Others) -> None:
        """Count what other runs of the same budget spend."""
        self._others = others

    # Queries

    @property
    def burn(self) -> Amounts:
        """Amounts that are spent each second now."""
        return self._burn

    @property
    def reserve(self) -> Amounts:
        """Amounts that the open blocks cost after the order to end."""
        return self._reserve

    @property
    def settled(self) -> Amounts:
        """Amounts of blocks that are over."""
        return self._settled

    def charges(self) -> Iterator[tuple[Key, Charge]]:
        """Yield the blocks that are paid."""
        yield from self._charges.items()

    def has(self, key: Key) -> bool:
        """Return True while *key* is paid."""
        return key in self._charges

    def spent(self, now: Seconds) -> Amounts:
        """Return what is spent until *now*."""
        own = self._settled.plus(self._burn, now).plus(self._offset, -1)
        return own.plus(self._others.spent).plus(self._others.burn, now - self._others.at)

    def committed(self, at: Seconds) -> Amounts:
        """Return what is spent in the end if every block is ordered to end at the time *at*."""
        return self.spent(at).plus(self._reserve).plus(self._others.reserve).plus(self._minima(at))

    def notices(self, now: Seconds) -> list[str]:
        """Return warnings, once for each: 80 % of a limit are spent, and blocks begin to drain for it."""
        spent, words = self.spent(now), []
        for name, limit in self._limits().items():
            amount = getattr(spent, name)
            text = f"{render(name, amount)} of the budget of {render(name, limit)} are spent"
            if name in self._is_spent and f"{name} drains" not in self._noticed:
                self._noticed |= {name, f"{name} drains"}
                words.append(f"{text}: blocks get no further task, and end; the rest is for what runs")
            elif amount >= NOTICE_AT * limit and name not in self._noticed:
                self._noticed.add(name)
                words.append(text)
        return words

    def rule(self, billing: Billing, now: Seconds) -> Ruling:
        """Return what is allowed *now* to a provider whose blocks cost *billing*."""
        self._period = max(self._period, billing.poll_period)
        self._follow(now)
        cost = per_second(billing.rate)
        concerned = {name: limit for name, limit in self._limits().items() if getattr(cost, name) > 0}
        if not concerned:
            return UNLIMITED
        if spent := sorted(self._is_spent & concerned.keys()):
            is_over = any(self._reaches(name, Seconds(now + 2 * self._period)) for name in spent)
            words = self._words(spent[0], now)
            return Ruling(0, drains=True, withdraws=True, ends=is_over, is_final=True, reason=words)
        further, tightest = min((self._room(name, billing, now), name) for name in concerned)
        if further > 0:
            return Ruling(further)
        blocks = self._burn.plus(self._overhead, -1).plus(self._queued).plus(self._others.burn)
        is_final = getattr(blocks, tightest) < _NEGLIGIBLE  # else the end of a block may leave room
        withdraws = any(self._is_queue_too_long(name, now) for name in concerned)
        return Ruling(0, withdraws=withdraws, is_final=is_final, reason=self._words(tightest, now, billing))

    # Parts of these

    def _follow(self, now: Seconds) -> None:
        """Begin to drain for the fields whose limit comes near."""
        self._grow_up(now)
        for name in self._limits():
            if getattr(self._burn, name) > 0 and self._reaches(
                name, Seconds(now + self._drain_time + 2 * self._period)
            ):
                self._is_spent.add(name)

    def _reaches(self, name: str, at: Seconds, more: float = 0.0) -> bool:
        limit = getattr(self.limit, name)
        return limit is not None and getattr(self.committed(at), name) + more >= limit

    def _is_queue_too_long(self, name: str, now: Seconds) -> bool:
        """Return True if blocks in queues could not start, drain and end within the limit of *name*."""
        ahead = self._drain_time + 4 * self._period
        return getattr(self._queued, name) > 0 and self._reaches(
            name, Seconds(now + ahead), self._when_queues_are_empty(name, ahead)
        )

    def _when_queues_are_empty(self, name: str, ahead: float) -> float:
        """Cost of the blocks in queues if they start now, and are ended *ahead* seconds from now."""
        return float(getattr(self._queued, name) * ahead + getattr(self._queued_reserve, name))

    def _room(self, name: str, billing: Billing, now: Seconds) -> int:
        """Blocks of *billing* that the limit of *name* leaves room for, beside those that run.

        With *k* more of them everything runs until the horizon and is ended there:
        ``committed(horizon) + k * cost * (horizon - now + reserve) < limit``.
        """
        ahead = 2 * billing.startup + self._drain_time + 4 * self._period
        cost = getattr(per_second(billing.rate), name) * max(ahead + billing.shutdown, billing.minimum)
        committed = getattr(self.committed(Seconds(now + ahead)), name) + self._when_queues_are_empty(name, ahead)
        left = getattr(self.limit, name) - committed
        return max(0, math.ceil(left / cost) - 1) if cost > 0 and left > 0 else 0

    def _words(self, name: str, now: Seconds, billing: Billing | None = None) -> str:
        spent, limit = getattr(self.spent(now), name), getattr(self.limit, name)
        text = f"{render(name, spent)} of the budget of {render(name, limit)} are spent"
        if billing is None:
            return f"{text}, and the rest is kept for the end of what runs"
        cost = getattr(per_second(billing.rate), name) * 3600
        return f"{text}, and the rest is too little for one more block, at {render(name, cost)} per hour"

    def _limits(self) -> Mapping[str, float]:
        return {name: limit for name, limit in self.limit._asdict().items() if limit is not None}

    def _grow_up(self, now: Seconds) -> None:
        """Forget the youth of blocks that have run for the shortest time that is paid."""
        for key, charge in list(itertools.islice(self._young.items(), _LOOKED_AT)):
            if not charge.short_of_minimum(now):
                del self._young[key]

    def _minima(self, at: Seconds) -> Amounts:
        """Cost of the shortest times that are paid, beyond shutdowns, if every block is ordered to end at *at*."""
        total = Amounts()
        if len(self._young) <= _LOOKED_AT:
            for charge in self._young.values():
                total = total.plus(charge.per_second, charge.short_of_minimum(at))
            return total
        return total.plus(self._burn, self._longest_minimum)

    def _put(self, key: Key, charge: Charge) -> None:
        self._young.pop(key, None)
        if not charge.is_queued and charge.billing.minimum > charge.billing.shutdown:
            self._young[key] = charge
            self._longest_minimum = max(self._longest_minimum, charge.billing.minimum)
        if key in self._charges:
            self._add(self._charges[key], -1)
        self._charges[key] = charge
        self._add(charge, 1)

    def _add(self, charge: Charge, sign: int) -> None:
        cost = charge.per_second
        if charge.is_queued:
            self._queued = self._queued.plus(cost, sign)
            reserve = max(charge.billing.shutdown, charge.billing.minimum)
            self._queued_reserve = self._queued_reserve.plus(cost, sign * reserve)
            return
        if charge.is_overhead:
            self._overhead = self._overhead.plus(cost, sign)
        self._burn = self._burn.plus(cost, sign)
        self._offset = self._offset.plus(cost, sign * charge.since)
        self._reserve = self._reserve.plus(cost, sign * charge.billing.shutdown)
