"""Builds the images of recipes with a Docker or Podman engine."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from cnflow.capsule import default_cache_dir
from cnflow.errors import ImageNotFoundError
from cnflow.images.builder import ImageBuilder, Progress
from cnflow.providers.docker.client.builds import Builds
from cnflow.providers.docker.images import login_of
from cnflow.providers.docker.pulling import Pull, pull

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnflow.model.image import Image
    from cnflow.providers.docker.client import Engine

logger = logging.getLogger(__name__)


class DockerBuildEngine(Builds):
    """`cnflow.images.engine.BuildEngine` of a Docker or Podman engine.

    Args:
        engine: connected.
        login: for the registries of bases; None is what ``docker login`` wrote.
    """

    def __init__(self, engine: Engine, login: Mapping[str, str] | None = None) -> None:
        super().__init__(engine)
        self._login = login

    @property
    def host(self) -> str:
        """Address of the engine, as DOCKER_HOST has it."""
        return self._engine.address.url.replace("http+unix://", "unix://")

    def can_buildkit(self) -> bool:
        """Return True for Docker; Podman builds by its API alone."""
        return self._engine.dialect.engine == "docker"

    def image_id(self, image: str) -> str:
        """Return the id of a local image; empty if there is none of this name."""
        return self._engine.image_id(image)

    def image_config(self, image_id: str) -> Mapping[str, Any]:
        """Return the configuration of a local image."""
        return self._engine.image_config(image_id)

    def pull(self, image: str, platform: str | None) -> str:
        """Pull an image; return what happened if that failed, else an empty string."""
        try:
            pull(self._engine, Pull(image, platform, self._login))
        except ImageNotFoundError as error:
            return str(error)
        return ""

    def remove_containers(self, label: str) -> None:
        """Remove containers with *label*."""
        for one in self._engine.containers(label=label):
            self._engine.remove(str(one["Id"]))


def build_image(
    engine: Engine,
    image: Image,
    cache: Path | None = None,
    progress: Progress | None = None,
    log: Path | None = None,
) -> str:
    """Return the name of the image that the recipe of *image* gives; build it if the engine does not have it.

    Args:
        engine: that builds and has it.
        image: has a recipe.
        cache: folder of cnflow's cache; None is the default one.
        progress: told what happens; None logs it, and prints steps on stderr.
        log: file for the builder's output; None is one in the cache.

    Raises:
        ImageBuildError: it cannot be built; names the step, its last lines, and what to do.
        BlockError: the engine does not answer.
    """
    assert image.recipe is not None
    folder = (cache or default_cache_dir()) / "builds"
    builder = ImageBuilder(DockerBuildEngine(engine, login_of(image)), folder, progress or Progress(announce), log=log)
    return builder.build(image.recipe, image.platform, image.pull or engine.settings.pull)


def announce(words: str) -> None:
    """Log *words*, and print them for the user, whose script waits for what takes minutes."""
    logger.info("%s", words)
    with contextlib.suppress(AttributeError, OSError, ValueError):  # none, full or closed
        sys.stderr.write(f"cnflow: {words}\n")
        sys.stderr.flush()
