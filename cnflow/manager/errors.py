"""Errors that keep a manager from starting; their text is the last line of its log."""

from __future__ import annotations


class ManagerStartError(Exception):
    """The node or the network does not allow the manager to start; the text tells the user what to change."""
