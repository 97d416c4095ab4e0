"""Parsl's providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cnflow.compat.parsl.launchers import Launcher, SingleNodeLauncher, check_launcher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import providers
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class LocalChannel(Settings):
    """Runs commands on this machine. Without effect: cnflow's providers always do."""

    userhome: str = "."
    envs: dict[str, str] = Field(default_factory=dict)
    script_dir: str | None = None


class LocalProvider(ParslSettings, providers.LocalProvider):
    """`cnflow.config.LocalProvider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("nodes_per_block", "launcher", "init_blocks", "min_blocks", "max_blocks")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("channel", "cmd_timeout", "move_files", "walltime")

    launcher: Any = Field(default_factory=SingleNodeLauncher, exclude=True)
    """Makes the command line of a block: any callable with the parameters command, tasks_per_node and nodes_per_block.
    A block is one manager, so that tasks_per_node is 1."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        translated = super().translate(given)
        launcher = translated.get("launcher")
        if launcher is None:
            translated.pop("launcher", None)
        elif not isinstance(check_launcher(launcher), Launcher):
            nodes = translated.get("nodes_per_block", 1)
            translated["wrap_command"] = lambda command: launcher(command, 1, nodes)
        most, first = translated.get("max_blocks"), translated.get("init_blocks", 1)
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "local"
