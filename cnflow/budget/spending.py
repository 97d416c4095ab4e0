"""Spending of one run: its meter with a clock, a store and locks, and an account for each provider of an executor.

::

    executor ──open_account(name, billing)──> Account ── on_started, on_running, on_over ──> meter ──> store
                                                 └────── rule ── every decision about blocks ──> Ruling

Any thread may use it: the block controllers of all executors do. Two executors that decide at the same moment may both
take the room that is left: both have kept the time to drain and to end, so that the limit holds nevertheless.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

from cnflow.budget import store
from cnflow.budget.amounts import NOTHING, Amounts, Billing, Limit, Terms, render
from cnflow.budget.meter import UNLIMITED, Meter, Others, Ruling
from cnflow.errors import ConfigurationError
from cnflow.model.machine import Rate
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cnflow.clock import Clock

logger = logging.getLogger(__name__)

_OVERHEAD = "overhead"
NO_TERMS = Terms()

PERIOD = 1.0
"""Shortest time between two writings, and between two looks at other runs."""

_UNCLAIMED_FOR = 60.0
"""Seconds after which blocks of a killed driver that were not taken over are taken for gone."""

_AGAIN_AFTER = 20.0
"""Seconds after which a record is written though nothing has changed, so that other runs see that this one lives."""


class SpendingReport(NamedTuple):
    """Spending at one time."""

    spent: Amounts
    burn: Amounts
    """Each second."""

    limit: Limit
    per_day: bool = False

    @property
    def line(self) -> str:
        """``$0.083 of $5.00, $1.20 an hour``; empty where nothing is spent and nothing limited."""
        parts = []
        for name in Amounts._fields:
            amount, limit = getattr(self.spent, name), getattr(self.limit, name)
            if limit is not None:
                parts.append(f"{render(name, amount)} of {render(name, limit)}")
            elif name == "usd" and amount:
                parts.append(render(name, amount))
        if parts and self.burn.usd:
            parts.append(f"{render('usd', self.burn.usd * 3600)} an hour")
        return ", ".join(parts)


class Spending:
    """See the module.

    Args:
        folder: of the run.
        clock: of the meter.
        terms: of the budget.
        wall: returns the seconds since 1970.
        adopted: take over what another driver of this run has spent.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        terms: Terms = NO_TERMS,
        *,
        wall: Callable[[], float] = time.time,
        adopted: bool = False,
    ) -> None:
        self._folder, self._terms, self._limit = folder, terms, terms.limit
        self._lock = threading.RLock()
        self._clock, self._started_at = clock, clock.now()
        self._wall_start = wall()
        """The wall clock is read once: from then on the other clock counts, which nobody sets."""

        self._day = _day_of(self._wall_start)
        self._accounts: dict[str, Account] = {}
        self._unclaimed: set[str] = set()
        """Blocks that another driver of the run has left, until they are taken over."""

        self._written_at = self._looked_at = float("-inf")
        self._pause = self._look_pause = PERIOD
        """Writing, and looking at other runs, take a twentieth of the time at most."""

        self._siblings = store.Siblings(folder)
        self._is_changed = self._is_over = False
        left = store.read(folder) if adopted else None
        self.meter = Meter(terms.limit, terms.drain_time, self._settled_of(left))
        self._charge_for(left)

    # Accounts

    def open_account(self, name: str, billing: Billing, lasts: float = 0.0) -> Account:
        """Return the account of a provider of an executor.

        Args:
            name: of the executor, and of its provider where it has several.
            billing: cost of a block.
            lasts: seconds for which a block may outlive the driver.

        Raises:
            ConfigurationError: a limit is set for what is not known of its blocks.
        """
        if self._limit.usd is not None and billing.rate.usd_per_hour is None:
            raise ConfigurationError(
                f"Budget(usd={self._limit.usd:g}) needs the price of the machines of executor {name!r}, and the table "
                "of prices has none for their type in their region. Set price_per_hour= of the provider, or write the "
                "price into the table: see cnflow cloud prices"
            )
        if self._limit.core_hours is not None and not billing.rate.cores:
            raise ConfigurationError(
                f"Budget(core_hours={self._limit.core_hours:g}) needs the cores of a block of executor {name!r}, which "
                "its provider does not know. Set them, such as by cores_per_node="
            )
        with self._lock:
            account = self._accounts[name] = Account(self, name, billing, lasts)
            if billing.overhead.usd_per_hour or billing.overhead.cores:
                key = f"{name}/{_OVERHEAD}"
                self._unclaimed.discard(key)
                self.meter.on_opened(key, billing, self.now, billing.overhead, is_overhead=True)
            return account

    @property
    def now(self) -> Seconds:
        """Seconds since the start."""
        return Seconds(self._clock.now() - self._started_at)

    def report(self) -> SpendingReport:
        """Return the spending at this moment."""
        with self._lock:
            return SpendingReport(self.meter.spent(self.now), self.meter.burn, self._limit, self._terms.per_day)

    def rule(self, billing: Billing) -> Ruling:
        """Return what a provider may do whose blocks cost *billing*."""
        with self._lock:
            now = self.now
            self._follow_day(now)
            self._settle_unclaimed(now)
            self._look_at_others(now)
            ruling = UNLIMITED if self._limit == Limit() else self.meter.rule(billing, now)
            for words in self.meter.notices(now):
                logger.warning("%s%s", "today, " if self._terms.per_day else "", words)
            self._write_if_due(now)
            return ruling

    def close(self) -> None:
        """End the run: nothing is paid any more, and the store says so."""
        with self._lock:
            now = self.now
            for key, _ in list(self.meter.charges()):
                self.meter.on_closed(key, now, is_confirmed=True)
            self._is_over = True
            if self._is_changed or self._written_at > float("-inf"):
                self._write(now)
            spent = self.report()
        if spent.line:
            logger.info("spent: %s", spent.line)

    # Called by accounts, under the lock

    def on_claimed(self, key: str) -> None:
        """Take *key* for a block that is there: it was taken over, if another driver has left it."""
        self._unclaimed.discard(key)

    def on_change(self, key: str) -> None:
        """Have a change of *key* written."""
        self.on_claimed(key)
        self._is_changed = True
        self._write_if_due(self.now)

    @property
    def lock(self) -> threading.RLock:
        """Held for each change."""
        return self._lock

    # Parts of these

    def _settled_of(self, record: store.Record | None) -> Amounts:
        """Return what the killed driver of the run has spent on blocks that are over."""
        if record is None or (self._terms.per_day and record.day != self._day):
            return NOTHING
        return record.settled

    def _charge_for(self, record: store.Record | None) -> None:
        """Charge for the blocks that a killed driver has left, until it is clear which of them are there."""
        for entry in () if record is None or record.is_over else record.open:
            billing = Billing(_rate_of(entry.per_second), shutdown=Seconds(entry.reserve), is_queue_free=False)
            since = max(entry.since, _midnight(self._day)) if self._terms.per_day else entry.since
            self.meter.on_opened(entry.key, billing, Seconds(since - self._wall_start))
            self._unclaimed.add(entry.key)

    def _settle_unclaimed(self, now: Seconds) -> None:
        if self._unclaimed and now >= _UNCLAIMED_FOR:
            for key in self._unclaimed:
                self.meter.on_closed(key, now)
            self._unclaimed.clear()
            self._is_changed = True

    def _follow_day(self, now: Seconds) -> None:
        if not self._terms.per_day or (day := _day_of(self._wall_start + now)) == self._day:
            return
        self._day = day
        self.meter.on_new_day(Seconds(_midnight(day) - self._wall_start))
        self._looked_at = float("-inf")
        logger.info("a new day of the budget begins")

    def _look_at_others(self, now: Seconds) -> None:
        if not self._terms.per_day or now - self._looked_at < self._look_pause:
            return
        begin = time.perf_counter()
        spent = burn = reserve = NOTHING
        wall = self._wall_start + now
        for record in self._siblings.records(wall):
            parts = store.spent_by(record, self._day, _midnight(self._day), wall)
            spent, burn, reserve = (a.plus(b) for a, b in zip((spent, burn, reserve), parts, strict=True))
        self.meter.on_others(Others(spent, burn, reserve, now))
        self._looked_at, self._look_pause = now, max(PERIOD, 20 * (time.perf_counter() - begin))

    def _write_if_due(self, now: Seconds) -> None:
        wait = self._pause if self._is_changed else _AGAIN_AFTER
        has_any = self._is_changed or self.meter.burn != NOTHING
        if has_any and now - self._written_at >= wait:
            self._write(now)

    def _write(self, now: Seconds) -> None:
        entries = [
            store.Entry(str(key), self._wall_start + c.since, c.per_second, c.billing.shutdown, self._lasts(str(key)))
            for key, c in self.meter.charges()
            if not c.is_queued
        ]
        record = store.Record(self._day, self.meter.settled, self._wall_start + now, entries, self._is_over)
        begin = time.perf_counter()
        try:
            store.write(self._folder, record)
        except OSError as error:
            logger.warning("the spending of the run cannot be written: %s", error)
        self._written_at, self._is_changed = now, False
        self._pause = max(PERIOD, 20 * (time.perf_counter() - begin))

    def _lasts(self, key: str) -> float:
        account = self._accounts.get(key.rpartition("/")[0])
        return account.lasts if account else 0.0


class Account:
    """Blocks of one provider of an executor. Made by `Spending.open_account`."""

    def __init__(self, spending: Spending, name: str, billing: Billing, lasts: float) -> None:
        self._spending = spending
        self._name = name
        self.billing = billing
        self.lasts = lasts

    def rule(self) -> Ruling:
        """Return what is allowed now."""
        return self._spending.rule(self.billing)

    def on_submitted(self, block: str, rate: Rate | None = None) -> None:
        """Count a block that was asked for, at the *rate* that is known of it."""
        if self.billing.is_queue_free:
            with self._spending.lock:
                self._spending.meter.on_queued(self._key(block), self.billing, self._spending.now)
                self._spending.on_claimed(self._key(block))
        else:
            self.on_started(block, rate)

    def on_started(self, block: str, rate: Rate | None = None) -> None:
        """Charge for a block that runs, at the *rate* that is known of it."""
        key = self._key(block)
        with self._spending.lock:
            self._spending.meter.on_opened(key, self.billing, self._spending.now, rate)
            self._spending.on_change(key)

    def on_over(self, block: str, *, was_refused: bool = False) -> None:
        """Charge no more for a block; for nothing if it *was_refused*."""
        key = self._key(block)
        with self._spending.lock:
            meter = self._spending.meter
            if not meter.has(key):
                return
            if was_refused:
                meter.on_dropped(key)
            else:
                meter.on_closed(key, self._spending.now)
            self._spending.on_change(key)

    def _key(self, block: str) -> str:
        return f"{self._name}/{block}"


def _rate_of(cost: Amounts) -> Rate:
    """Return the rate whose `per_second` is *cost*."""
    return Rate(cost.usd * 3600, cost.core_hours * 3600, cost.gpu_hours * 3600)


def _day_of(wall: float) -> str:
    return datetime.fromtimestamp(wall, timezone.utc).date().isoformat()


def _midnight(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc).timestamp()
