"""Finds which image a roll means: a tag may stand for another one than its workers have run since they began.

::

    roll to shop:1.0 ──executor of that image──> none before ──> it is made, and runs what the tag is now
                              │ there is one
                              └──image_now──> what it runs ──> that executor
                                    └───────> another one ──> an executor for that content, by id or digest

A run keeps an image for as long as it lasts, so that blocks which start later do as those before. A roll is the moment
at which another one is wanted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.model.image import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.serving import VersionConfig
    from cnflow.model.image_identity import ImageIdentity

logger = logging.getLogger(__name__)


class ImageNow(NamedTuple):
    """Settings of a version, and what its image is."""

    version: VersionConfig
    digest: str = ""
    """Id of the image, where it was looked up."""


def image_now(version: VersionConfig, executor_for: Callable[[VersionConfig], Any]) -> ImageNow:
    """Return *version* with the image that its reference stands for now, and see that it has an executor. Slow.

    Args:
        version: settings; its image is as the user wrote it.
        executor_for: returns the executor of an image, which is made if there is none.

    Raises:
        ConfigurationError, BlockError: there is no such image, or nothing that runs it.
    """
    executor = executor_for(version)
    look_up = getattr(executor, "image_now", None)
    if look_up is None or not executor.digest.done():  # being prepared: by what the tag is now
        return ImageNow(version)
    now: ImageIdentity = look_up()
    if not now or str(now) == executor.digest.result():
        return ImageNow(version, str(now))
    image = Image.of(version.image)
    by_digest = now.facts.digest
    pinned = image.pinned(by_digest, "missing") if by_digest else image.pinned(str(now), "never")
    logger.info("image %s is another one than before: %s", image, by_digest or now)
    moved = version.model_copy(update={"image": pinned})
    executor_for(moved)
    return ImageNow(moved, str(now))
