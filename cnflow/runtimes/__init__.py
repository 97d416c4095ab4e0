"""Runtimes: how a command becomes a container on a node. The classes are settings, and pure."""

from cnflow.config.runtimes import AutoRuntime, NoRuntime, RuntimeSettings

__all__ = ["AutoRuntime", "NoRuntime", "RuntimeSettings"]
