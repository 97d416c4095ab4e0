"""Brings an image to the sites of a configuration ahead of a run, for ``cnflow image push``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from cnflow.config.batch import SiteSettings
from cnflow.config.registry import backend_of
from cnflow.errors import ConfigurationError
from cnflow.model.image import Image
from cnflow.sites.courier import SiteImages
from cnflow.sites.folder import SiteFolder
from cnflow.text import did_you_mean
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from cnflow.config import Config
    from cnflow.sites.courier import FetchedImage


class Target(NamedTuple):
    """A site that shall have the image."""

    label: str
    """Of the executors, for messages."""

    image: Image
    settings: SiteSettings


class Pushed(NamedTuple):
    """What a site has now."""

    site: str
    fetched: FetchedImage

    @property
    def line(self) -> str:
        """Site, what was done, and where the image is."""
        done = "brought" if self.fetched.is_new else "was there"
        where = self.fetched.image.path or self.fetched.image.reference
        return f"{self.site}: {done}: {where} ({self.fetched.identity})"


def targets_of(config: Config, reference: str, label: str = "") -> list[Target]:
    """Return the sites of *config*, each once; those of one executor if there is a *label*.

    An executor that has the image itself lends its options, such as credentials.

    Raises:
        ConfigurationError: no executor is on a site, or none has the label.
    """
    labels = [executor.label for executor in config.executors]
    if label and label not in labels:
        raise ConfigurationError(f"No executor is labelled {label!r}.{did_you_mean(label, labels)}")
    found: dict[str, Target] = {}
    for executor in config.executors:
        settings = getattr(executor, "provider", None)
        if not isinstance(settings, SiteSettings) or (label and executor.label != label):
            continue
        own = executor.image
        image = own if own.reference == reference else Image(reference)
        names = {"channel", "site_dir", "image_cache_dir", "runtime"}
        key = json.dumps([settings.model_dump(mode="json", include=names), image.key], sort_keys=True, default=str)
        before = found.get(key)
        found[key] = Target(f"{before.label}, {executor.label}" if before else executor.label, image, settings)
    if not found:
        raise ConfigurationError(
            "No executor of this configuration runs on a site: images are pushed for providers such as SlurmProvider. "
            "Engines such as Docker pull images by themselves."
        )
    return list(found.values())


def push_images(targets: list[Target], progress: Callable[[str], None]) -> Iterator[Pushed]:
    """Bring the image to one site after the other.

    Raises:
        BlockError: it cannot come there.
    """
    for target in targets:
        settings = target.settings
        channel = backend_of(settings.channel)(settings.channel)
        try:
            channel.open()
            site = SiteFolder(channel, settings.site_dir, timeout=Seconds(settings.cmd_timeout))
            images = SiteImages(site, settings.runtime, settings.image_cache_dir)
            yield Pushed(channel.name, images.fetch(target.image, _prefixed(channel.name, progress)))
        finally:
            channel.close()


def _prefixed(name: str, progress: Callable[[str], None]) -> Callable[[str], None]:
    return lambda words: progress(f"{name}: {words}")


def shown_on(console: Console) -> Callable[[str], None]:
    """Return what prints lines of progress, in grey on a terminal."""
    return lambda words: console.print(Text(words, style="dim"), soft_wrap=True)
