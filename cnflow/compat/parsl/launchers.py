"""Parsl's launchers for blocks of one node: callables that make the command line of a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.compat.parsl.errors import BadLauncher
from cnflow.config.base import Settings

if TYPE_CHECKING:
    from collections.abc import Callable


class Launcher(Settings):
    """Base of the launchers. The two of this module leave the command as it is: one manager starts all workers."""

    debug: bool = True

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int) -> str:  # noqa: ARG002 - Parsl's
        """Return the line that runs *command* on the nodes of a block."""
        return command


class SimpleLauncher(Launcher):
    """Runs the command as it is."""


class SingleNodeLauncher(Launcher):
    """Runs as many copies of the command as the node has tasks; cnflow asks for one, since a manager starts workers."""

    fail_on_any: bool = False

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int) -> str:
        """Return lines that run the copies at the same time and wait for all."""
        copies = max(1, tasks_per_node * nodes_per_block)
        return command if copies == 1 else "\n".join([f"( {command} ) &"] * copies + ["wait"])


def check_launcher(launcher: object) -> Callable[[str, int, int], str]:
    """Return *launcher*.

    Raises:
        BadLauncher: it cannot be called.
    """
    if not callable(launcher):
        raise BadLauncher(
            f"launcher={launcher!r} cannot be called. A launcher takes (command, tasks_per_node, nodes_per_block) and "
            "returns a command line."
        )
    return launcher
