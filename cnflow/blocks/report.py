"""A block as one looks at it; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.block import Stage
from cnflow.model.status import BlockReport

if TYPE_CHECKING:
    from cnflow.blocks.block import Block
    from cnflow.ids import BlockId
    from cnflow.units import Seconds


class Held(NamedTuple):
    """Why the provider is not asked for another block at once."""

    provider_is_silent: bool
    untried: BlockId | None
    """After failures: the block that must first show that it works."""

    wait: Seconds
    """Until it is asked; not above 0 when nothing failed."""

    failed: str
    """The last words on a block that failed."""


def report_of(block: Block, now: Seconds, held: Held) -> BlockReport:
    """How *block* is at the moment *now*."""
    message = block.said
    if block.stage is Stage.REQUESTED:
        why = _why_not_yet(held)
        message = why + (message or held.failed) if why else message
    elif block.stage is Stage.RUNNING and block.connected_at is None:
        message = message or "no manager has connected yet"
    elif block.stage is Stage.RUNNING and not block.managers:
        message = message or "no manager is connected"
    age = max(0.0, now - block.requested_at)
    words = _in_one_line(message)
    return BlockReport(block.id, block.native or "", block.stage.value, block.managers, block.slots, None, age, words)


def _in_one_line(words: str) -> str:
    """The first line, and where that announces others, the last as well: of a log it says most."""
    first, *others = words.splitlines() or [""]
    return f"{first} {others[-1].strip()}" if others and first.endswith(":") else first.rstrip()


def _why_not_yet(held: Held) -> str:
    if held.provider_is_silent:
        return "waits until its provider answers again. "
    if held.untried is not None:
        return f"backs off until block {held.untried} works. "
    return f"backs off, asked for in {held.wait:.0f} s: " if held.wait > 0 else ""
