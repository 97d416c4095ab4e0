"""Actions of the block state machine, carried out by `cnflow.blocks.loop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnflow.errors import BlockError
    from cnflow.ids import BlockId, NativeId


class OrderDrain(NamedTuple):
    """Order the interchange to give this block's managers no further task, and to report when none is left."""

    block: BlockId


class Remove(NamedTuple):
    """Cancel the block at the provider, with everything that is left of it."""

    block: BlockId
    native: NativeId


class ReportEnd(NamedTuple):
    """Report the end of a block to the interchange: its managers will send nothing more."""

    block: BlockId
    reason: str
    """For the user."""

    is_unexpected: bool
    """False if the block was draining."""


class Forget(NamedTuple):
    """Forget the keys and orders of a block: it is over, and no manager of it is to be accepted any more."""

    block: BlockId


class Warn(NamedTuple):
    """Log a warning."""

    words: str
    """For the user."""


class GiveUp(NamedTuple):
    """Fail all tasks: no block works."""

    reason: str
    """For the user."""

    error: BlockError | None = None
    """The provider's own error, where one alone is the reason."""


Action = OrderDrain | Remove | ReportEnd | Forget | Warn | GiveUp
