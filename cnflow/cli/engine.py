"""What the commands ask of the Docker provider; the only place in `cnflow.cli` that imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.config.providers import DockerProvider
from cnflow.config.registry import PROVIDERS, load

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


def hosts_of_the_engine() -> Collection[str]:
    """Addresses of this machine that containers of the default engine could reach, likeliest first.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: no engine answers, or one that is too old; holds its own words.
    """
    backend = PROVIDERS["docker"]
    blocks = load(backend.live, "The provider 'docker'", backend.extra)(DockerProvider())
    try:
        hosts: Collection[str] = blocks.endpoint_hosts()
        return hosts
    finally:
        blocks.close()


def unpack_capsule(image: str, directory: Path) -> None:
    """Write the capsule for *image* into *directory*.

    Raises:
        MissingExtraError: the Docker SDK is not installed.
        BlockError: the image is not there or cannot hold a worker.
        CapsuleError: its packages could not be got.
    """
    backend = PROVIDERS["docker"]
    module = backend.live.partition(":")[0]
    load(f"{module}:unpack_capsule", "A capsule for an image", backend.extra)(image, directory, DockerProvider())
