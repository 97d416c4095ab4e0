"""Joins the blocks of one provider of an executor to their account of the run's spending. No I/O.

::

    demand of the tasks ──limit──> Demand(..., allowance)      before each decision of the block controller
    change of a block ────on_block──> account: asked for, runs at a rate, over
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.blocks.allowance import ALL, Allowance
from cnflow.blocks.block import FINAL, Stage
from cnflow.config.existing_pool import ExistingPool
from cnflow.config.interchange_place import ClusterSite, interchange_site
from cnflow.config.several import members_of
from cnflow.executors.high_throughput.block_requests import accelerators
from cnflow.model.machine import Rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.blocks import Demand
    from cnflow.blocks.block import Block
    from cnflow.budget.amounts import Billing
    from cnflow.budget.meter import Ruling
    from cnflow.budget.spending import Account, Spending
    from cnflow.config import HighThroughputExecutor, ProviderSettings

_EVERY = 1_000_000_000
"""Blocks, more than there are."""


class BlockMeter:
    """Follows the blocks of one provider; see the module.

    Args:
        account: theirs.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def limit(self, demand: Callable[[], Demand]) -> Callable[[], Demand]:
        """Return *demand*, with what the budget allows."""

        def limited() -> Demand:
            wanted, allowed = demand(), allowance_of(self._account.rule())
            if allowed is ALL:
                return wanted
            return wanted._replace(allowance=allowed if wanted.allowance is ALL else wanted.allowance.and_(allowed))

        return limited

    def allowance(self) -> Allowance:
        """Return what the budget allows."""
        return allowance_of(self._account.rule())

    def on_block(self, block: Block) -> None:
        """Follow a block that has changed, or is over."""
        if block.stage in FINAL:
            never_ran = block.stage is Stage.FAILED and block.native is None and block.connected_at is None
            self._account.on_over(block.id, was_refused=never_ran)
        elif block.stage is Stage.RUNNING or block.connected_at is not None:
            self._account.on_started(block.id, block.last_status.rate if block.last_status else None)
        elif not block.is_waiting:
            rate = block.last_status.rate if block.last_status else None
            self._account.on_submitted(block.id, rate)


def meters_of(spending: Spending | None, settings: HighThroughputExecutor, lasts: float) -> dict[str, BlockMeter]:
    """Return what follows the blocks of each provider of *settings*, by label; empty without a record of spending.

    Raises:
        ConfigurationError: as `meter_of`.
    """
    members = members_of(settings.provider)
    meters: dict[str, BlockMeter] = {}
    for label, provider in members.items():
        name = settings.label if len(members) == 1 else f"{settings.label}/{label}"
        meter = meter_of(spending, settings, provider, name, lasts)
        if meter is not None:
            meters[label] = meter
    return meters


def meter_of(
    spending: Spending | None, settings: HighThroughputExecutor, provider: ProviderSettings, name: str, lasts: float
) -> BlockMeter | None:
    """Return what follows the blocks of *provider* as account *name*; None without a record of spending.

    Raises:
        ConfigurationError: the budget limits what is not known of them.
    """
    if spending is None or isinstance(provider, ExistingPool):
        return None
    return BlockMeter(spending.open_account(name, billing_of(settings, provider), lasts))


def allowance_of(ruling: Ruling) -> Allowance:
    """Return *ruling* as the block controller takes it."""
    if ruling.further is None:
        return ALL
    return Allowance(
        ruling.further,
        _EVERY if ruling.withdraws else 0,
        ruling.drains,
        ends=ruling.ends,
        is_final=ruling.is_final,
        reason=ruling.reason,
    )


def billing_of(settings: HighThroughputExecutor, provider: ProviderSettings) -> Billing:
    """Return the cost of a block of *provider* in an executor of *settings*, accelerators of the executor included."""
    billing = provider.billing()
    gpus = max(billing.rate.gpus, float(len(accelerators(settings)) * provider.nodes_per_block))
    has_machine = isinstance(interchange_site(settings), ClusterSite)
    overhead = billing.overhead if has_machine else Rate(0.0)
    return billing._replace(rate=billing.rate._replace(gpus=gpus), overhead=overhead)
