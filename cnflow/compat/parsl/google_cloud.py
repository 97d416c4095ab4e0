"""Parsl's provider for Compute Engine: with Parsl's parameters, their order and their defaults.

::

    GoogleCloudProvider("my-project", "key.json", "us-central1", "debian-cloud", "debian-12")
        │  translate
        ▼
    project="my-project", key_file="key.json", region="us-central1", image_project=..., image_family="debian-12"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.launchers import check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import google_cloud

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class GoogleCloudProvider(ParslSettings, google_cloud.GoogleCloudProvider):
    """`cnflow.config.GoogleCloudProvider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "project_id",
        "key_file",
        "region",
        "os_project",
        "os_family",
        "google_version",
        "instance_type",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "launcher",
        "parallelism",
    )
    RENAMED: ClassVar[Mapping[str, str]] = {
        "project_id": "project",
        "os_project": "image_project",
        "os_family": "image_family",
    }
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("google_version",)
    DEFAULTS: ClassVar[Mapping[str, Any]] = {"instance_type": "n1-standard-1", "init_blocks": 1, "max_blocks": 10}
    """Parsl's defaults where cnflow has others."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate Parsl's parameters; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        set_by_user = {name: value for name, value in given.items() if value is not None}
        translated = super().translate({**cls.DEFAULTS, **set_by_user})
        check_launcher(translated.pop("launcher", None))
        translated.setdefault("instance_types", [translated.pop("instance_type")])
        translated.pop("instance_type", None)
        most, first = translated["max_blocks"], translated["init_blocks"]
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "google_cloud"
