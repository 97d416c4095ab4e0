"""Parsl's providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.launchers import check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import providers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class LocalProvider(ParslSettings, providers.LocalProvider):
    """`cnflow.config.LocalProvider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("nodes_per_block", "launcher", "init_blocks", "min_blocks", "max_blocks")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("channel", "cmd_timeout", "move_files", "walltime")

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        translated = super().translate(given)
        if check_launcher(translated.get("launcher")) is None:
            translated.pop("launcher", None)
        most, first = translated.get("max_blocks"), translated.get("init_blocks", 1)
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "local"
