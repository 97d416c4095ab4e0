"""Makes the block controller of an executor: one, or one for each of its providers with a share of the tasks.

::

    settings.provider ── one ──────> Blocks ──> BlockController
                     └── several ──> Blocks ──> BlockController  for each: own limits, requests, threads
                                                    └──> SeveralControllers, with the numbers of blocks in common
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks import BlockController, Scaling, make_blocks
from cnflow.blocks.allowance import BlockNumbers
from cnflow.blocks.several.group import SeveralControllers
from cnflow.blocks.several.shares import Shares
from cnflow.clock import SystemClock
from cnflow.config.several import members_of
from cnflow.executors.high_throughput.block_requests import expected_slots
from cnflow.interfaces import JoinsProviders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.blocks import Callbacks
    from cnflow.blocks.block import Block
    from cnflow.blocks.state import Blocks
    from cnflow.config import HighThroughputExecutor
    from cnflow.executors.high_throughput.block_requests import BlockContext
    from cnflow.executors.high_throughput.metering import BlockMeter
    from cnflow.ids import BlockId
    from cnflow.interfaces import Provider
    from cnflow.model.block import BlockRequest
    from cnflow.model.machine import Rate

Controller = BlockController | SeveralControllers


class ControllerParts(NamedTuple):
    """What controllers of one executor are made of."""

    context: BlockContext
    """For requests."""

    scaling: Scaling
    callbacks: Callbacks
    """Into the executor; `make_requests` is `admit` with a context."""

    admit: Callable[[Sequence[BlockId], BlockContext], Sequence[BlockRequest]]
    """Makes requests, and has the managers of their blocks admitted."""

    watch: Callable[[Block, str, Rate], None] | None = None
    """Called with each block that has changed, the kind of its provider and its rate; None for nobody."""

    meters: Mapping[str, BlockMeter] = {}
    """What follows the spending of each provider, by label."""


def make_controller(parts: ControllerParts, provider: Provider) -> Controller:
    """Make the controller of an executor, not started."""
    settings = parts.context.settings
    if not isinstance(provider, JoinsProviders):
        meter = next(iter(parts.meters.values()), None)
        blocks = _make_blocks(settings, parts, meter)
        callbacks = _for_requests(parts, parts.context)
        if meter is not None:
            callbacks = callbacks._replace(demand=meter.limit(callbacks.demand))
        return BlockController(blocks, provider, settings.provider.traits(), callbacks)
    numbers = BlockNumbers()
    group = SeveralControllers(
        settings.label,
        parts.callbacks,
        Shares(settings.spill_after, settings.hedge),
        list(provider.members),
        SystemClock(),
    )
    for number, (label, own) in enumerate(members_of(settings.provider).items()):
        member = settings.model_copy(update={"provider": own, "image": settings.image or own.default_image})
        meter = parts.meters.get(label)
        blocks = _make_blocks(member, parts, meter)
        blocks.capacity.numbers = numbers
        context = parts.context._replace(settings=member, image=parts.context.image if settings.image else None)
        callbacks = group.callbacks_of(label, number, _for_requests(parts, context))
        live = provider.members[label]
        live.is_foreign = partial(group.is_of_another, number)
        controller = BlockController(blocks, live, own.traits(), callbacks)
        group.add(label, blocks, controller, meter.allowance if meter is not None else None)
    for label, error in provider.failures.items():
        group.on_given_up(label, error, is_final=True)
    return group


def _make_blocks(settings: HighThroughputExecutor, parts: ControllerParts, meter: BlockMeter | None) -> Blocks:
    blocks = make_blocks(
        settings.label,
        settings.provider,
        parts.scaling,
        slots_per_node=expected_slots(settings),
        chance=random.Random(),  # noqa: S311 - spreads delays, keeps no secret
        is_single_use=settings.fresh,
    )
    watchers = [] if meter is None else [meter.on_block]
    if (watch := parts.watch) is not None:
        kind, rate = settings.provider.kind, settings.provider.billing().rate
        watchers.append(lambda block: watch(block, kind, rate))
    if watchers:

        def on_block(block: Block) -> None:
            for watcher in watchers:
                watcher(block)

        blocks.watch(on_block)
    return blocks


def _for_requests(parts: ControllerParts, context: BlockContext) -> Callbacks:
    return parts.callbacks._replace(make_requests=lambda batch: parts.admit(batch, context))
