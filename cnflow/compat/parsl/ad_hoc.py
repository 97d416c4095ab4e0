"""Parsl's provider of blocks on a list of hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.launchers import check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import ad_hoc

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class AdHocProvider(ParslSettings, ad_hoc.AdHocProvider):
    """`cnflow.config.ad_hoc.AdHocProvider` with Parsl's parameters; a block on each of *channels* from the start."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("channels", "worker_init", "cmd_timeout", "parallelism")
    RENAMED: ClassVar[Mapping[str, str]] = {"channels": "hosts"}
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("move_files",)

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`."""
        translated = super().translate(given)
        if check_launcher(translated.get("launcher")) is None:
            translated.pop("launcher", None)
        hosts = translated.get("hosts")
        if isinstance(hosts, list):
            translated = {"init_blocks": len(hosts), "min_blocks": len(hosts), **translated}
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "ad_hoc"
