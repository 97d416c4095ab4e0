"""Base class of all control messages."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, array_like=True, tag=True):
    """Array that begins with the name of its class; fields follow in order."""
