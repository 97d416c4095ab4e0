"""Launchers: what starts a manager on each node of a block. The classes are settings, and pure."""

from cnflow.config.launchers import (
    AprunLauncher,
    CallableLauncher,
    GnuParallelLauncher,
    JsrunLauncher,
    LauncherSettings,
    MpiExecLauncher,
    MpiRunLauncher,
    SimpleLauncher,
    SingleNodeLauncher,
    SrunLauncher,
    SrunMPILauncher,
    WrappedLauncher,
)

__all__ = [
    "AprunLauncher",
    "CallableLauncher",
    "GnuParallelLauncher",
    "JsrunLauncher",
    "LauncherSettings",
    "MpiExecLauncher",
    "MpiRunLauncher",
    "SimpleLauncher",
    "SingleNodeLauncher",
    "SrunLauncher",
    "SrunMPILauncher",
    "WrappedLauncher",
]
