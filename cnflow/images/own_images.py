"""Decides which images of an engine are cnflow's own, and which of these may be removed. No I/O.

An image built on one of ours inherits its labels; ours are those whose name has the hash that their label has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.model.image_recipe import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

RECIPE_LABEL = "cnflow.recipe"
"""Label of a built image: the hash of everything that it was built from."""

STEP_LABEL = "cnflow.recipe.step"
"""Label of an image between two steps, where one of them has secrets and the builder is the classic one."""

BUILD_LABEL = "cnflow.build"
"""Label of a container that runs a step of a build: the hash of the image that is built."""


@dataclass(frozen=True)
class OwnImage:
    """One image, as an engine lists it."""

    id: str
    names: Sequence[str]
    recipe: str
    """Value of its `RECIPE_LABEL`; empty if it has none."""

    size: int
    """Bytes, shared layers included."""

    created: float
    """Seconds since 1970."""

    users: Sequence[str] = ()
    """Containers of it, and images on top of it."""

    @property
    def own_names(self) -> list[str]:
        """Names that cnflow gave it."""
        return [name for name in self.names if is_own(name, self.recipe)]


def is_own(name: str, recipe: str) -> bool:
    """Return True if *name* is ``cnflow/NAME:HASH`` with the hash that begins *recipe*."""
    repository, _, tag = name.removeprefix("localhost/").removeprefix("docker.io/").rpartition(":")
    return bool(tag) and repository.startswith(f"{REPOSITORY}/") and recipe.startswith(tag)


def own_images(listed: Sequence[OwnImage]) -> list[OwnImage]:
    """Return cnflow's own images, newest first."""
    return sorted((image for image in listed if image.own_names), key=lambda image: -image.created)


def leftover_steps(listed: Sequence[OwnImage]) -> list[OwnImage]:
    """Return images between two steps that no built image is on top of: those of builds that failed.

    Args:
        listed: images with `STEP_LABEL`.
    """
    return [image for image in listed if not image.names and not image.users]


def choose_to_remove(listed: Sequence[OwnImage], now: float, older_than: float = 0.0) -> list[OwnImage]:
    """Return own images that nothing uses.

    Args:
        listed: images with `RECIPE_LABEL`.
        now: seconds since 1970.
        older_than: seconds of age that an image must have.
    """
    return [image for image in own_images(listed) if not image.users and now - image.created >= older_than]
