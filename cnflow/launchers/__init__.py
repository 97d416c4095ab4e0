"""Launchers: what starts a manager on each node of a block. The classes are settings, and pure."""

from cnflow.config.launchers import LauncherSettings, SimpleLauncher, SrunLauncher

__all__ = ["LauncherSettings", "SimpleLauncher", "SrunLauncher"]
