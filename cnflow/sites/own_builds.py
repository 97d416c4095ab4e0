"""Builds images with recipes by the container engine of the driver's machine, before they go to a site.

The engine is that of a `DockerProvider` without options: Docker's, or Podman's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from cnflow.config.providers import DockerProvider
from cnflow.config.registry import backend_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnflow.model.image import Image


def build_here(image: Image, log: Path) -> None:
    """Build *image* unless the engine has what its recipe gives; see `cnflow.interfaces.BuildsImages.build`."""
    with _engine() as provider:
        provider.build(image, log)


def id_of_built(image: Image) -> str:
    """Id of *image*, which has a recipe, in the engine; it is built if it is not there."""
    with _engine() as provider:
        return str(provider.prepare(image))


@contextlib.contextmanager
def _engine() -> Iterator[Any]:
    settings = DockerProvider()
    provider = backend_of(settings)(settings)
    try:
        yield provider
    finally:
        provider.close()
