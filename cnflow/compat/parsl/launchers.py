"""Parsl's launchers as far as a block of one node needs them, which is not at all: the provider starts the manager."""

from __future__ import annotations

from cnflow.config.base import Settings


class Launcher(Settings):
    """How a block's command is put on its nodes."""

    debug: bool = True


class SimpleLauncher(Launcher):
    """The command as it is."""


class SingleNodeLauncher(Launcher):
    """Copies of the command on the one node; cnflow starts one manager, which starts the workers."""

    fail_on_any: bool = False
