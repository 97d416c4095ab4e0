"""What a block controller is told, hears and says, besides its provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.blocks.strategy import Strategy
    from cnflow.errors import CnflowError
    from cnflow.ids import BlockId
    from cnflow.model.block import BlockRequest


class Scaling(NamedTuple):
    """How the blocks of a run follow its tasks."""

    strategy: str | Strategy | None = "simple"
    max_idletime: float = 120.0


class Callbacks(NamedTuple):
    """What the controller hears and says besides its provider."""

    demand: Callable[[], tuple[int, int]]
    """Tasks that wait or run, and a number that changes whenever some were submitted. Called from its thread."""

    request: Callable[[BlockId], BlockRequest]
    """Makes the request for a block."""

    drain: Callable[[BlockId], None]
    """Has the interchange give a block nothing more; `BlockController.drained` is the answer."""

    gone: Callable[[BlockId, str], None]
    """Tells the interchange that a block ended by itself, and how."""

    ask_idle: Callable[[], None]
    """Asks the interchange for idle times; `BlockController.idle_times` is the answer."""

    give_up: Callable[[CnflowError], None]
    """Called once when no block can be had, with what to tell the user."""
