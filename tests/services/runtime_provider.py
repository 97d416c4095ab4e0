"""A provider of containers by a runtime, without a scheduler: what a job of one node would run, run here."""

from __future__ import annotations

import dataclasses
import tempfile
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from cnflow.capsule import capsule_folder, carrying_kind
from cnflow.capsule.packages import driver_kind
from cnflow.config import LocalProvider
from cnflow.config.runtimes import AnyRuntime, AutoRuntime
from cnflow.model.image import NO_IMAGE
from cnflow.model.site_image import SiteImage
from cnflow.providers._shared.image_command import image_command
from cnflow.providers.local.provider import LocalBackend

if TYPE_CHECKING:
    from pathlib import Path


class RuntimeBackend(LocalBackend):
    """Starts managers in containers of `RuntimeProvider.site_image`."""

    def endpoint_hosts(self):
        return ["127.0.0.1"]

    def prepare(self, image):
        self._settings.runtime.for_image(image)
        return self._settings.site_image.digest

    def submit(self, requests):
        return super().submit([self._wrapped(request) for request in requests])

    def _wrapped(self, request):
        kinds = [carrying_kind()] if self._settings.only_carried else [driver_kind(), carrying_kind()]
        folder = tempfile.mkdtemp(prefix="run-", dir=self._settings.site_dir)
        command = image_command(
            request.manager,
            settings_file=f"{folder}/settings.json",
            script=f"{folder}/start.sh",
            capsules={kind: str(capsule_folder(kind)) for kind in kinds},
            folders=request.shared_folders,
        )
        wrapped = self._settings.runtime.for_image(request.image).wrap(command, self._settings.site_image)
        return dataclasses.replace(request, image=NO_IMAGE, command=wrapped)


class RuntimeProvider(LocalProvider):
    """Runs images by a runtime on this machine."""

    backend: ClassVar = RuntimeBackend
    kind: Literal["runtime"] = "runtime"
    runtime: AnyRuntime = Field(default_factory=AutoRuntime)
    site_image: SiteImage = SiteImage()
    site_dir: str = ""
    only_carried: bool = False

    def traits(self):
        return super().traits()._replace(runs_images=True)


def provider_of(tmp_path: Path, **options) -> RuntimeProvider:
    """A provider whose folder of a site is in *tmp_path*."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    return RuntimeProvider(site_dir=str(folder), **options)
