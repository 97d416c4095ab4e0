"""Blocks that are containers of a Docker engine, here or remote.

`requests` says what is sent, and needs no SDK; `engine` is the connection, `images` finds and probes images, `reach`
tells how containers get back to this machine, `running` follows a container; `blocks` is the provider made of these.
The names below are resolved on use, so that what would be sent can be printed where the SDK is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.providers.docker.images import unpack_capsule
    from cnflow.providers.docker.provider import DockerBackend
    from cnflow.providers.docker.requests import create_arguments

__all__ = ["DockerBackend", "create_arguments", "unpack_capsule"]

_HOMES = {"DockerBackend": "provider", "create_arguments": "requests", "unpack_capsule": "images"}


def __getattr__(name: str) -> object:
    """Import the public *name* from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}. Known: {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
