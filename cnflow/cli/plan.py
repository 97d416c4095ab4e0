"""Plans of `cnflow plan`: what a configuration would start, where, at what price, and what its systems say to it.

::

    SCRIPT ──run until cnflow.load()──┐
                                      ├──> Config ──each provider of each executor──> Part ──> text, or JSON
    CONFIG ───────────────────────────┘          preview, check, placements, billing

Nothing is started, and no image is pulled or built. Systems are asked as by ``cnflow config check --on-site``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cnflow.budget.amounts import Amounts, Limit, dearest, per_second, render
from cnflow.budget.prices import price_table
from cnflow.budget.spending import Spending
from cnflow.cli.request_preview import preview_of
from cnflow.clock import SystemClock
from cnflow.config import Config, HighThroughputExecutor
from cnflow.config.files import load_config
from cnflow.config.registry import backend_of
from cnflow.config.selection import watch_selection
from cnflow.config.several import members_of
from cnflow.errors import CnflowError, ConfigurationError
from cnflow.executors.high_throughput.metering import billing_of
from cnflow.interfaces import HasCloud
from cnflow.model.finding import Finding, Verdict
from cnflow.text import duration
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.budget.amounts import Billing
    from cnflow.config import ProviderSettings

_NOT_ASKED = Finding("request", Verdict.ABSENT, "not made: it names an image of the cloud", "Leave out --offline.")

_SOME = 6
"""Placements that are named."""


@dataclasses.dataclass
class Part:
    """Plan of one provider of an executor."""

    executor: str
    provider: str
    first_blocks: int
    most_blocks: int
    nodes: int
    billing: Billing
    placements: list[str] = dataclasses.field(default_factory=list)
    """In order of preference; empty where the provider has none, or was not asked."""

    request: Mapping[str, object] | None = None
    """The first block's, as its system would get it."""

    findings: list[Finding] = dataclasses.field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """False if a finding is bad."""
        return all(finding.verdict is not Verdict.BAD for finding in self.findings)

    @property
    def price(self) -> str:
        """Price of a block, and of all of them, per hour, for people."""
        one = self.billing.rate.usd_per_hour
        if one is None:
            return "not known: set price_per_hour, or see cnflow cloud prices"
        if not one:
            return "nothing"
        text = f"{render('usd', one)} an hour for a block, {render('usd', one * self.most_blocks)} for all"
        beside = self.billing.overhead.usd_per_hour
        return f"{text}, {render('usd', beside)} for the machine of the interchange" if beside else text


class _Planned(SystemExit):
    """Ends a script at its first run; no error that the script handles."""


def config_of(path: Path, args: Sequence[str]) -> Config:
    """Return the Config in the file at *path*, or that of the script at *path*, which runs until it loads it.

    Raises:
        ConfigurationError: there is none.
    """
    if path.suffix != ".py":
        return load_config(path)
    from cnflow.cli.script import find_script, run_as_main

    seen: list[Config] = []

    def end(config: Config) -> NoReturn:
        seen.append(config)
        raise _Planned(0)

    watch_selection(end)
    code = 0
    try:
        code = run_as_main(find_script(str(path), args))
    except SystemExit as own:
        if not seen:  # the script's own
            raise ConfigurationError(
                f"The script {str(path)!r} ended with exit code {own.code or 0} before it loaded a Config; write "
                "its arguments after its name"
            ) from None
    if seen:  # also of a script that handles every exception
        return seen[0]
    if code:
        raise ConfigurationError(f"The script {str(path)!r} failed before it loaded a Config; see above.")
    return load_config(path)


def plan_of(config: Config, *, asks: bool = True) -> list[Part]:
    """Return the plan of *config*; unless it *asks*, no system is asked."""
    parts = []
    for executor in config.executors:
        if isinstance(executor, HighThroughputExecutor):
            members = members_of(executor.provider)
            for label, settings in members.items():
                name = executor.label if len(members) == 1 else f"{executor.label}/{label}"
                parts.append(_part_of(executor, name, settings, config, asks=asks))
    return parts


def budget_lines(config: Config, parts: Sequence[Part]) -> list[str]:
    """Return how long the budget of *config* lasts, with all blocks of *parts*."""
    limit = config.budget.limit if config.budget is not None else Limit()
    cost = Amounts()
    for part in parts:
        cost = cost.plus(per_second(part.billing.rate), part.most_blocks).plus(per_second(part.billing.overhead))
    lines = []
    for name, amount in limit._asdict().items():
        if amount is not None:
            rate = getattr(cost, name)
            lasts = (
                f"lasts {duration(Seconds(round(amount / rate)))} with all blocks" if rate else "nothing of it is spent"
            )
            lines.append(f"{render(name, amount)}: {lasts}")
    return lines


def _part_of(
    executor: HighThroughputExecutor, name: str, settings: ProviderSettings, config: Config, *, asks: bool
) -> Part:
    billing = billing_of(executor, settings)
    kind = type(settings).__name__
    part = Part(name, kind, settings.init_blocks, settings.max_blocks, settings.nodes_per_block, billing)
    part.findings += _price_findings(config, name, billing)
    alone = executor.model_copy(update={"provider": settings, "image": executor.image or settings.default_image})
    try:
        provider = backend_of(settings, needs_packages=asks)(settings)
        try:
            if asks:
                part.findings += provider.check()
                if isinstance(provider, HasCloud):
                    _place(part, provider)
            if asks or not isinstance(provider, HasCloud):
                part.request = preview_of(alone)
            else:
                part.findings.append(_NOT_ASKED)
        finally:
            provider.close()
    except CnflowError as error:
        part.findings.append(Finding("request", Verdict.BAD, str(error)))
    return part


def _place(part: Part, provider: HasCloud) -> None:
    """Fill in where the machines would be, and what these cost."""
    offered = provider.cloud.placements()
    part.placements = [str(each) for each in offered[:_SOME]]
    part.placements += [f"{len(offered) - _SOME} more"] if len(offered) > _SOME else []
    rate = dearest(each.rate for each in offered).times(part.nodes)
    if rate.usd_per_hour is not None and part.billing.rate.usd_per_hour is None:
        part.billing = part.billing._replace(rate=rate)


def _price_findings(config: Config, name: str, billing: Billing) -> list[Finding]:
    """Findings on what the budget of *config* needs to know."""
    if config.budget is None:
        return []
    try:
        Spending(Path(), SystemClock(), config.budget.terms).open_account(name, billing)
    except ConfigurationError as error:
        return [Finding("budget", Verdict.BAD, str(error))]
    return []


def source_of_prices() -> str:
    """Return the date of the table of prices, for people."""
    return f"Prices are estimates, of a table of {price_table().dated}, without disks and traffic."
