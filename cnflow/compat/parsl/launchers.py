"""Parsl's launchers for blocks of one node. Without effect: the provider starts the manager."""

from __future__ import annotations

from cnflow.config.base import Settings


class Launcher(Settings):
    """Base of the launchers, which start a block's command on its nodes."""

    debug: bool = True


class SimpleLauncher(Launcher):
    """Runs the command as it is."""


class SingleNodeLauncher(Launcher):
    """Runs copies of the command on one node; in cnflow one manager starts the workers instead."""

    fail_on_any: bool = False
