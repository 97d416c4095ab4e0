"""Why a manager cannot begin; said in its last line."""

from __future__ import annotations


class CannotBeginError(Exception):
    """What this node, or the way to the interchange, does not allow. Its text says what to do."""
