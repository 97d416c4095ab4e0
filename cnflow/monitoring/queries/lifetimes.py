"""Tells how long a block has been there. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnflow.monitoring.queries import views

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "GONE", "ENDED", "LOST", "MISSING", "SCALED_IN"})
"""States after which a block has no more to report; upper case."""


def has_ended(block: views.BlockView) -> bool:
    """Return whether *block* has reported its last state."""
    return block.state.upper() in ENDED


def lived(block: views.BlockView, end: float) -> float:
    """Return the seconds from the first report of *block* to its end; to *end* where it goes on."""
    return max(0.0, (block.last if has_ended(block) else max(end, block.last)) - block.first)
