"""Resolves images for ``cnflow lock``, through the providers of a configuration, and compares them with a lock."""

from __future__ import annotations

import enum
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.cli.named_images import images_in
from cnflow.config import DockerProvider, HighThroughputExecutor
from cnflow.config.image_lock import ImageLock, LockedImage
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.model.image import Image
from cnflow.model.image_identity import ImageIdentity
from cnflow.model.image_recipe import RECIPE_TAG

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cnflow.config import Config
    from cnflow.config.providers import ProviderSettings


class Change(enum.Enum):
    """How an image compares with the lock file."""

    SAME = "same"
    NEW = "new"
    MOVED = "moved"


class Resolved(NamedTuple):
    """An image as it is now, and as it was locked."""

    now: LockedImage
    before: LockedImage | None
    change: Change


class Sources(NamedTuple):
    """What to lock: images, each with the settings of the provider that runs it."""

    images: list[tuple[Image, ProviderSettings]]
    notes: list[str]
    """What was not found out, for the user."""


def sources_of(config: Config | None, names: Sequence[str]) -> Sources:
    """Return the images of *config* and of *names*, each a script or an image.

    Raises:
        ConfigurationError: a script cannot be read or parsed.
    """
    executors = config.executors if config is not None else []
    containers = [each for each in executors if isinstance(each, HighThroughputExecutor) and each.runs_images]
    found = [(each.image, each.provider) for each in containers if each.image]
    provider = containers[0].provider if containers else DockerProvider()
    notes: list[str] = []
    for name in names:
        if RECIPE_TAG in name:
            notes.append(
                f"{name} is built from a recipe and is left out: lock it by --config FILE, which has the recipe."
            )
            continue
        references = _images_of_script(name, notes) if name.endswith(".py") else [name]
        found += [(Image(reference), provider) for reference in references]
    return Sources(found, notes)


def _images_of_script(path: str, notes: list[str]) -> list[str]:
    try:
        found = images_in(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The script {path!r} cannot be read: {error.strerror or error}.") from error
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"The script {path!r} cannot be parsed: {error}.") from error
    if found.computed:
        lines = ", ".join(map(str, found.computed))
        notes.append(f"{path}: the image in line {lines} is computed; name it beside the script, to lock it too.")
    return found.references


def resolve(images: Iterable[tuple[Image, ProviderSettings]], lock: ImageLock, *, pull: bool) -> list[Resolved]:
    """Return what each of *images* is now, as its provider finds, pulls and probes it.

    Args:
        images: with the provider of each.
        lock: to compare with.
        pull: ask the registry, also where the engine has an image of that name.

    Raises:
        ConfigurationError, BlockError: as `Provider.prepare` raises.
    """
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found: dict[str, Resolved] = {}
    for image, settings in images:
        if image.reference in found:
            continue
        provider = backend_of(settings)(settings)
        try:
            wanted = image.replace(pull="always") if pull and image.recipe is None else image
            identity = ImageIdentity(provider.prepare(wanted))
        finally:
            provider.close()
        found[image.reference] = _compare(LockedImage.of(image.reference, identity, moment), identity, lock)
    return list(found.values())


def _compare(now: LockedImage, identity: ImageIdentity, lock: ImageLock) -> Resolved:
    before = lock.find(now.reference, now.platform)
    if before is None or before.platform != now.platform:
        return Resolved(now, None, Change.NEW)
    if before.is_image(identity):
        return Resolved(now, before, Change.SAME)
    return Resolved(now, before, Change.MOVED)


def merged(lock: ImageLock, resolved: Iterable[Resolved]) -> ImageLock:
    """Return *lock* with what was *resolved*; an entry that is the same stays as it is, its moment included."""
    kept = (each.before if each.before is not None and each.change is Change.SAME else each.now for each in resolved)
    return ImageLock([*lock.images, *kept])
