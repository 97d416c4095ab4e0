"""Parsl's providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cnflow.compat.parsl.launchers import Launcher, SingleNodeLauncher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import providers
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class LocalChannel(Settings):
    """Parsl's way to say "on this machine", which is where cnflow's providers start their commands."""

    userhome: str = "."
    envs: dict[str, str] = Field(default_factory=dict)
    script_dir: str | None = None


class LocalProvider(ParslSettings, providers.LocalProvider):
    """`cnflow.config.LocalProvider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("nodes_per_block", "launcher", "init_blocks", "min_blocks", "max_blocks")
    NEEDLESS: ClassVar[Collection[str]] = ("channel", "cmd_timeout", "move_files", "walltime")

    launcher: Launcher = Field(default_factory=SingleNodeLauncher)
    """Changes nothing: a block is one manager, which starts the workers of its node."""

    @classmethod
    def translated(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """As `ParslSettings.translated`; ``max_blocks`` covers ``init_blocks``, which are started whatever it says."""
        translated = super().translated(given)
        most, first = translated.get("max_blocks"), translated.get("init_blocks", 1)
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name for the kind of provider."""
        return "local"
