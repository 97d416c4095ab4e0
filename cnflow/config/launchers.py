"""Settings of the launchers, which start a manager on each node of a block: argument vector in, argument vector out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from cnflow.config.base import Settings
from cnflow.config.registry import LAUNCHERS

if TYPE_CHECKING:
    from collections.abc import Sequence


class LauncherSettings(Settings):
    """Options of every launcher; the class is its own live half, since `wrap` is pure."""

    kind: str

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """Argument vector that runs *argv* once on each of *nodes* nodes of a job, and ends when all have ended.

        Raises:
            ConfigurationError: the launcher cannot start so many.
        """
        raise NotImplementedError


class SimpleLauncher(LauncherSettings):
    """Runs the command as it is, on the job's first node."""

    kind: Literal["simple"] = "simple"

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:  # noqa: ARG002 - part of the seam
        """The command itself."""
        return list(argv)


class SrunLauncher(LauncherSettings):
    """Starts the command on each node by Slurm's ``srun``."""

    kind: Literal["srun"] = "srun"
    overrides: list[str] = Field(default_factory=list)
    """Further options of srun, after cnflow's own."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """See https://slurm.schedmd.com/srun.html (Slurm 25.05)."""
        return ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", *self.overrides, *argv]


AnyLauncher = Annotated[SerializeAsAny[LauncherSettings], BeforeValidator(LAUNCHERS.parse)]
"""Type of an option that is a launcher: settings, or a table of a file."""
