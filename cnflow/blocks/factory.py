"""Makes the block state machine from what the user wrote."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cnflow.blocks.backoff import Backoff
from cnflow.blocks.block import Patience
from cnflow.blocks.state import Blocks
from cnflow.blocks.strategy import STRATEGIES, Limits
from cnflow.units import Seconds

if TYPE_CHECKING:
    import random

    from cnflow.blocks.callbacks import Scaling
    from cnflow.blocks.strategy import Change, Situation, Strategy
    from cnflow.config import ProviderSettings

logger = logging.getLogger(__name__)


def make_blocks(
    label: str,
    settings: ProviderSettings,
    scaling: Scaling,
    *,
    slots_per_node: int,
    chance: random.Random,
    is_single_use: bool = False,
) -> Blocks:
    """Return the state of an executor without blocks.

    Args:
        label: of the executor, for messages.
        settings: of its provider.
        scaling: rule by which the blocks follow the tasks.
        slots_per_node: expected of a node until the first manager has connected.
        chance: spreads the delays after failures.
        is_single_use: a block ends by itself after its task.
    """
    traits = settings.traits()
    limits = Limits(
        settings.init_blocks,
        settings.min_blocks,
        settings.max_blocks,
        settings.managers_per_block(),
        settings.parallelism,
        Seconds(scaling.max_idletime),
        settings.warm_blocks,
        is_single_use,
    )
    return Blocks(
        label,
        limits,
        strategy_of(scaling.strategy, label),
        slots_per_node=slots_per_node,
        backoff=Backoff(chance, traits),
        patience=Patience(Seconds(settings.startup_timeout), traits.status_lag),
    )


def strategy_of(choice: str | Strategy | None, label: str) -> Strategy:
    """Return the strategy of that name, or the user's own, whose errors are logged; *label* is of the executor."""
    if choice is None or isinstance(choice, str):
        return STRATEGIES[choice or "none"]
    own = choice

    def guard(situation: Situation) -> list[Change]:
        try:
            return list(own(situation))
        except BaseException:  # the user's own code, in a thread that other blocks need
            logger.exception("the strategy of executor %s failed; its blocks are left as they are", label)
            return []

    return guard
