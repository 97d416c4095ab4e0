"""Unpacks the capsule for an image, through the provider of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.providers import DockerProvider
from cnflow.config.registry import backend_of

if TYPE_CHECKING:
    from pathlib import Path


def unpack_capsule(image: str, directory: Path) -> None:
    """Write the capsule for *image* into *directory*.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: the image was not found, or cannot hold a worker.
        CapsuleError: its packages could not be downloaded.
    """
    settings = DockerProvider()
    provider = backend_of(settings)(settings)
    try:
        provider.unpack_capsule(image, directory)
    finally:
        provider.close()
