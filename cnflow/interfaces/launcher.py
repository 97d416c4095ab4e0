"""Seam between a block of several nodes and the command that starts a manager on each of them; pure.

::

    one node:    python .../manager settings
    srun:        srun --nodes=4 --ntasks-per-node=1 python .../manager settings

A launcher is a settings class with this method: argv in, argv out, no I/O. Registered by an entry point of the group
``cnflow.launchers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Launcher(Protocol):
    """Wraps the command of one manager so that every node of a block runs it once."""

    def wrap(self, argv: Sequence[str], nodes: int) -> Sequence[str]:
        """Argument vector that runs *argv* once on each of *nodes* nodes, and ends when all have ended."""
