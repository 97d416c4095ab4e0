"""Events of the block controller, put into its queue by other threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId


class TasksAdded(NamedTuple):
    """More tasks are unfinished than the blocks were decided for."""


class ProviderChanged(NamedTuple):
    """The provider's watch reports that a block may have another status."""


class RunEnded(NamedTuple):
    """All blocks are to be removed."""


class ManagerConnected(NamedTuple):
    """A manager registered."""

    block: BlockId
    slots: int


class ManagerLost(NamedTuple):
    """A manager left, or is silent for too long."""

    block: BlockId
    slots: int


class BlockDrained(NamedTuple):
    """No manager of the block is left that holds a task or will be given one."""

    block: BlockId


class IdleTimes(NamedTuple):
    """Seconds for which each block has held no task, by block id."""

    seconds: Mapping[BlockId, float]


Event = TasksAdded | ProviderChanged | RunEnded | ManagerConnected | ManagerLost | BlockDrained | IdleTimes
