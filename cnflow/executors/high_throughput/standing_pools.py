"""Finds the pools behind an executor of `ExistingPool`, when a configuration is loaded.

::

    image="app:1" ──> there is a pool of it, or it is refused with those that there are
    no image ──┬── a pool without one, or only one pool ──> the executor uses that, with its image
               └── several pools of images ──────────────> a template: apps with image= have one made for each
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.config.existing_pool import ExistingPool, choose_pool
from cnflow.config.registry import backend_of
from cnflow.errors import BlockError, ConfigurationError
from cnflow.model.image import NO_IMAGE, Image

if TYPE_CHECKING:
    from cnflow.config import HighThroughputExecutor
    from cnflow.interfaces import OffersPool


class BoundExecutor(NamedTuple):
    """Settings of an executor with the pool that it uses."""

    settings: HighThroughputExecutor
    images: frozenset[str] | None
    """References of the images that executors made from it can run; None: any."""


def bind_to_pool(settings: HighThroughputExecutor) -> BoundExecutor:
    """Choose the pool of an executor; asks the pool's server. Other executors are returned as they are.

    Raises:
        ConfigurationError: the server is not reached, or has no such pool.
    """
    provider = settings.provider
    if not isinstance(provider, ExistingPool):
        return BoundExecutor(settings, None)
    live: OffersPool = backend_of(provider)(provider)
    try:
        pools = live.pools()
        chosen = choose_pool(pools, settings.image, provider.pool, provider.address)
    except BlockError as error:
        raise ConfigurationError(f"executor {settings.label!r}: {error}") from error
    images = frozenset(pool.image for pool in pools if pool.image and provider.pool in {None, pool.name})
    if chosen is None:
        return BoundExecutor(settings, images)
    image = settings.image or (Image(chosen.image) if chosen.image else NO_IMAGE)
    return BoundExecutor(settings.model_copy(update={"provider": provider.of_pool(chosen), "image": image}), images)
