"""Errors that keep a manager from starting; their text is the last line of its log."""

from __future__ import annotations


class ManagerStartError(Exception):
    """The manager cannot start on its node or network; the message names the change that the user has to make."""


class CannotListenError(ManagerStartError):
    """No port is free, or the address cannot be written where the driver reads it."""
