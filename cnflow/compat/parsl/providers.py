"""Parsl's providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cnflow.compat.parsl.launchers import Launcher, SingleNodeLauncher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import providers
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Collection


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

    @property
    def label(self) -> str:
        """Parsl's name for the kind of provider."""
        return "local"
