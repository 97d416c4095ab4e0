"""Events of the block controller, put into its inbox by other threads: of the executor, and of calls to the provider.

An answer holds the question's time and subject: much may have happened while the call was out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.errors import CnflowError
    from cnflow.ids import BlockId, NativeId
    from cnflow.interfaces.provider import Stop
    from cnflow.model.block import BlockRequest, BlockStatus, Refused
    from cnflow.units import Seconds


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
    rank: int = 0
    """Number of its node in the block."""

    host: str = ""


class ManagerLost(NamedTuple):
    """A manager left, or is silent for too long."""

    block: BlockId
    slots: int


class BlockDrained(NamedTuple):
    """No manager of the block is left that holds a task or will be given one."""

    block: BlockId


class DrainWanted(NamedTuple):
    """The user wants the block to drain."""

    block: BlockId


class BlockEmptied(NamedTuple):
    """All managers of the block have left by their own decision."""

    block: BlockId


class IdleTimes(NamedTuple):
    """Seconds for which each block has held no task, by block id."""

    seconds: Mapping[BlockId, float]


class Requested(NamedTuple):
    """Requests were made, and are submitted now."""

    requests: Mapping[BlockId, BlockRequest]


class Submitted(NamedTuple):
    """`Provider.submit` returned or raised."""

    answers: Mapping[BlockId, NativeId | Refused]
    error: CnflowError | None = None
    """Error of the call; None if it returned. Blocks without an answer may have been started."""


class Listed(NamedTuple):
    """`Provider.find` returned or raised."""

    asked_at: Seconds
    found: Mapping[BlockId, NativeId]
    error: CnflowError | None = None


class Reported(NamedTuple):
    """`Provider.status` returned or raised; the last answer of one query."""

    asked_at: Seconds
    asked: Mapping[BlockId, NativeId]
    statuses: Mapping[NativeId, BlockStatus]
    error: CnflowError | None = None


class Cancelled(NamedTuple):
    """`Provider.cancel` returned or raised."""

    unconfirmed: Mapping[NativeId, str]
    error: CnflowError | None = None


class LogRead(NamedTuple):
    """The last lines of a block were read."""

    block: BlockId
    text: str
    """Quoted, for the end of a message; empty if there are none."""


class Watching(NamedTuple):
    """`Provider.watch` returned or raised."""

    stop: Stop | None
    error: CnflowError | None = None


ProviderEvent = Requested | Submitted | Listed | Reported | Cancelled | LogRead | Watching
Event = (
    TasksAdded
    | ProviderChanged
    | RunEnded
    | ManagerConnected
    | ManagerLost
    | BlockDrained
    | DrainWanted
    | BlockEmptied
    | IdleTimes
    | ProviderEvent
)

Put = "Callable[[Event], None]"
