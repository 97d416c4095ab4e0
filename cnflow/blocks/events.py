"""What the block controller hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId


class Wake(NamedTuple):
    """There is more to do."""


class Stop(NamedTuple):
    """The run ends."""


class Joined(NamedTuple):
    """A manager registered."""

    block: BlockId
    slots: int


class Left(NamedTuple):
    """A manager is gone."""

    block: BlockId
    slots: int


class Drained(NamedTuple):
    """No manager of a block is left that holds or will be given anything."""

    block: BlockId


class IdleTimes(NamedTuple):
    """How long each block has held no task."""

    seconds: Mapping[BlockId, float]


Event = Wake | Stop | Joined | Left | Drained | IdleTimes
