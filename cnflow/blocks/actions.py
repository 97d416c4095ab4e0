"""What the fleet has done."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.ids import BlockId, NativeId


class TellDrain(NamedTuple):
    """Have the interchange give this block's managers nothing more, and say when none is left."""

    block: BlockId


class Remove(NamedTuple):
    """The block is of no more use: cancel it at the provider, with whatever is left of it."""

    block: BlockId
    native: NativeId


class TellGone(NamedTuple):
    """The block ended: its managers will not be heard again. *reason* is for people."""

    block: BlockId
    reason: str
    is_news: bool
    """Whether nobody had asked it to."""


class GiveUp(NamedTuple):
    """No block can be had; *reason* is for the user."""

    reason: str


Action = TellDrain | Remove | TellGone | GiveUp
