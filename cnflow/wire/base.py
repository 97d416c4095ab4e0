"""Base class of all control messages."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, array_like=True, tag=True):
    """Tagged with its class's name; fields go by position."""
