"""Jobs whose managers run in containers of an image.

::

    prepare(image) ──courier──> FetchedImage: the image at the site, its runtime, its Python
                   ──capsules for that Python, or for one that nobody has looked at──> Container
    Container.command(request) ──image_command, runtime.wrap──> NodeCommand, which each node of the job runs
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnflow.capsule import available_kind, carried_kind, carrying_kind, kind_of
from cnflow.errors import BlockRejectedError, ConfigurationError
from cnflow.model.site_image import SiteImage
from cnflow.providers._shared.image_command import image_command
from cnflow.sites.courier import SiteImages
from cnflow.sites.node_copy import with_node_copy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cnflow.capsule import Kind, Probe
    from cnflow.config.batch import SiteSettings
    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.model.block import BlockRequest
    from cnflow.model.image import Image
    from cnflow.model.image_identity import ImageIdentity
    from cnflow.model.node_command import NodeCommand
    from cnflow.sites.courier import FetchedImage
    from cnflow.sites.folder import SiteFolder


@dataclass(frozen=True)
class Container:
    """What the containers of a job are started from."""

    runtime: RuntimeSettings
    image: SiteImage
    capsules: Mapping[Kind, str]
    """Folders at the site, by kind; the first fits `probe`."""

    probe: Probe | None = None
    """Of the image's interpreter; None if nobody has looked at it."""

    node_dir: str = ""
    """Folder on each node to which the image's file is copied; empty copies none."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths at the site of what each job needs, where the scheduler has to bring it."""
        return (*self.capsules.values(), *([self.image.path] if self.image.path else []))

    def moved(self, folder: str) -> Container:
        """Return the container where all of `files` were brought to *folder*."""
        capsules = {kind: f"{folder}/{posixpath.basename(path)}" for kind, path in self.capsules.items()}
        path = f"{folder}/{posixpath.basename(self.image.path)}" if self.image.path else ""
        return replace(self, capsules=capsules, image=self.image._replace(path=path), node_dir="")

    def command(
        self,
        request: BlockRequest,
        settings_file: str,
        script: str,
        environment: Mapping[str, str],
        *,
        shares_files: bool,
    ) -> NodeCommand:
        """Return the command of a manager in a container.

        Args:
            request: for its block.
            settings_file: path at the site.
            script: path at the site of the script that starts a manager where nobody has looked at the image.
            environment: variables of the provider's settings, which enter the container.
            shares_files: nodes see the files of this machine.

        Raises:
            BlockRejectedError: the runtime cannot do what is asked for.
        """
        command = request.command or image_command(
            request.manager,
            settings_file=settings_file,
            script=script,
            capsules=self.capsules,
            probe=self.probe,
            folders=[each for each in request.shared_folders if each] if shares_files else (),
        )
        command = replace(command, environment={**environment, **command.environment})
        try:
            return with_node_copy(self.runtime.wrap(command, self.image), self.image, self.node_dir)
        except ConfigurationError as error:
            raise BlockRejectedError(str(error)) from error


class SiteContainers:
    """Containers of all images of one provider.

    Args:
        settings: of the provider.
        site: where its jobs run.
        cache_dir: where this machine keeps capsules; None decides by `cnflow.capsule.default_cache_dir`.
    """

    def __init__(self, settings: SiteSettings, site: SiteFolder, cache_dir: Path | None = None) -> None:
        self._settings = settings
        self._site = site
        self._cache_dir = cache_dir
        self._images = SiteImages(site, settings.runtime, settings.image_cache_dir)

    @property
    def programs(self) -> tuple[str, ...]:
        """See `SiteImages`."""
        return self._images.programs

    def prepare(self, image: Image) -> ImageIdentity:
        """Have *image* at the site, with the code that a manager in it needs.

        Raises:
            BlockRejectedError, ImageNotFoundError, ImageUnusableError: no manager can run in it.
            ChannelError, CapsuleError: see `SiteImages.fetch` and `SiteFolder.capsule`.
        """
        fetched = self._images.fetch(image)
        self._capsules(fetched)
        return fetched.identity

    def container(self, image: Image) -> Container:
        """Return what the containers of *image* are started from; what `prepare` has brought is not brought again."""
        fetched = self._images.fetch(image)
        capsules = self._capsules(fetched)
        return Container(fetched.runtime, fetched.image, capsules, fetched.probe, self._settings.node_image_dir)

    def _capsules(self, fetched: FetchedImage) -> dict[Kind, str]:
        where = f"image {fetched.image.reference!r}"
        if fetched.probe is not None:
            kinds = [available_kind(kind_of(fetched.probe, where, carrying_kind()), self._cache_dir)]
        else:
            kinds = possible_kinds(self._site.facts().machine, where)
        return {kind: self._site.capsule(kind) for kind in kinds}


def possible_kinds(machine: str, where: str) -> list[Kind]:
    """Return the kinds of capsules for an image that nobody has looked at.

    Raises:
        ImageUnusableError: this Python can be carried to no image there.
    """
    return [carried_kind(machine, where, carrying_kind())]


def shown_container(settings: SiteSettings, image: Image) -> Container:
    """Return a container for a preview, with words in place of paths of the site; asks no site."""
    runtime = settings.runtime.at(()).for_image(image)
    shown = SiteImage(image.name, runtime.form, "SITE_DIR/images/IMAGE")
    kind = carrying_kind()
    return Container(runtime, shown, {kind: "SITE_DIR/capsules/CAPSULE"} if kind else {}, None, settings.node_image_dir)
