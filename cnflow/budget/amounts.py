"""Amounts of what a run spends, and what a block costs; values alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.machine import Rate
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

_HOUR = 3600.0


class Amounts(NamedTuple):
    """Something spent, or spent per second."""

    usd: float = 0.0
    core_hours: float = 0.0
    gpu_hours: float = 0.0

    def plus(self, other: Amounts, times: float = 1.0) -> Amounts:
        """Return this and *times* the *other*."""
        return Amounts(*(mine + times * its for mine, its in zip(self, other, strict=True)))


NOTHING = Amounts()


class Limit(NamedTuple):
    """Most that may be spent; None where there is no limit."""

    usd: float | None = None
    core_hours: float | None = None
    gpu_hours: float | None = None


class Terms(NamedTuple):
    """Terms of a budget; those of none only count."""

    limit: Limit = Limit()
    drain_time: Seconds = Seconds(0.0)
    """Time that running tasks get to end before the limit."""

    per_day: bool = False
    """All runs of a folder share it, from midnight to midnight."""


class Billing(NamedTuple):
    """Cost of a block of one provider, as known before it is there."""

    rate: Rate = Rate(0.0)
    """Of the whole block; an upper estimate where its machines are not chosen yet."""

    startup: Seconds = Seconds(0.0)
    """Time from the request to the first task."""

    shutdown: Seconds = Seconds(0.0)
    """Time for which a block is paid after the order to end it, at most."""

    minimum: Seconds = Seconds(0.0)
    """Shortest time that is paid."""

    poll_period: Seconds = Seconds(1.0)
    """Longest time between two decisions about its blocks."""

    is_queue_free: bool = True
    """A block costs nothing while it waits in its provider's queue; False pays it from its request on."""

    overhead: Rate = Rate(0.0)
    """Of what runs beside the blocks from the executor's start to its end, such as a machine for the interchange."""


def per_second(rate: Rate) -> Amounts:
    """Return what *rate* amounts to in a second; an unknown price counts as none."""
    return Amounts((rate.usd_per_hour or 0.0) / _HOUR, rate.cores / _HOUR, rate.gpus / _HOUR)


def dearest(rates: Iterable[Rate]) -> Rate:
    """Return the largest price and size of *rates*; the price of one that is not known makes it unknown."""
    usd: float | None = 0.0
    cores = gpus = 0.0
    for rate in rates:
        usd = None if usd is None or rate.usd_per_hour is None else max(usd, rate.usd_per_hour)
        cores, gpus = max(cores, rate.cores), max(gpus, rate.gpus)
    return Rate(usd, cores, gpus)


def render(name: str, amount: float) -> str:
    """Return *amount* of the field *name* of `Amounts` for people: ``$0.083``, ``12.5 core hours``."""
    if name == "usd":
        return f"${amount:.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}".rstrip("0").ljust(5, "0")
    return f"{amount:.3g} {name.replace('_', ' ')}"
