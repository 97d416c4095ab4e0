"""Unknown values of events as NULL."""

from __future__ import annotations

from typing import TypeVar

N = TypeVar("N", int, float)


def known(number: N) -> N | None:
    """Return *number*; None where it is below 0, which is unknown."""
    return number if number >= 0 else None


def text_or_none(text: str) -> str | None:
    """Return *text*; None where it is empty."""
    return text or None
