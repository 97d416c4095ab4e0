"""A block: one unit of machines that a provider starts and ends as a whole.

::

    BlockRequest ──Provider.submit──> NativeId | Refused
                                          │
                       Provider.status    ▼
    BlockStatus(state):  PENDING ──> RUNNING ──> ENDED     exit code 0
                            │           ├──────> FAILED    anything else; with an `EndCause`
                            └───────────┴──────> GONE      the system has removed it
                         UNKNOWN: the system has the block and reports no state
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Optional

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cnflow.ids import BlockId, RunId
    from cnflow.model.image import Image
    from cnflow.model.machine import Rate
    from cnflow.model.manager_settings import ManagerSettings
    from cnflow.model.node_command import NodeCommand


class BlockState(enum.Enum):
    """State of a block, as its provider's system reports it."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    GONE = "gone"
    """Not known to the provider's system: it ended and was removed, or never existed."""

    UNKNOWN = "unknown"
    """Known to the provider's system, which reports no state now; nothing follows from it."""

    @property
    def is_final(self) -> bool:
        """True if the block will never run again."""
        return self in {BlockState.ENDED, BlockState.FAILED, BlockState.GONE}


class EndCause(enum.Enum):
    """Cause of a block's end. The first two are no fault of the block or its provider."""

    PREEMPTED = "preempted"
    """The system took the node back."""

    WALLTIME = "walltime"
    OOM = "out of memory"
    NODE = "node failed"
    IMAGE = "image"
    """The image could not be pulled or started."""

    USER = "cancelled"
    """Somebody ended it by hand."""

    OTHER = "other"

    @property
    def is_regular(self) -> bool:
        """True if ends of this cause are part of the plan, so that they are no failures of a connected block."""
        return self in {EndCause.PREEMPTED, EndCause.WALLTIME}


@dataclass(frozen=True)
class BlockStatus:
    """A provider's report on one block."""

    state: BlockState
    message: str = ""
    """Reason for the state in the words of the provider's system, for the user."""

    cause: Optional[EndCause] = None
    """Cause of the end; None while the block lives, and where it is not known."""

    exit_code: Optional[int] = None
    """Of the block's first process; negative, or above 128, is a signal."""

    hosts: tuple[str, ...] = ()
    """Names of the nodes, the first node first; those that never came are named by them."""

    ends_at: Optional[float] = None
    """Seconds since 1970 at which the provider's system will end the block; None without such a limit.

    For coming backends, not read by the driver yet.
    """

    starts_at: Optional[float] = None
    """Seconds since 1970 at which the provider's system expects to start the block; None where it does not tell."""

    rate: Optional[Rate] = None
    """Price and size of the whole block, once its machines are chosen; None where neither is known."""

    is_for_good: bool = False
    """Every block of this kind will fail in the same way; of one that failed."""


class Refusal(enum.Enum):
    """Meaning of a refused submission for the next one."""

    BUSY = "busy"
    """Nothing was started, for want of room; no fault of the block."""

    FAILED = "failed"
    """Nothing was started; another attempt may succeed."""

    FOR_GOOD = "for good"
    """Nothing was started; every block of this kind will be refused."""

    UNKNOWN = "unknown"
    """No answer came in time: the block may run, which `Provider.find` shows."""


class Refused(NamedTuple):
    """Answer to a block that was not, or not surely, started."""

    kind: Refusal
    words: str
    """Reason in the words of the provider's system, and what the user can do."""

    error: Optional[BlockError] = None
    """For the tasks that need the block, where `words` alone would lose the error's class."""

    @classmethod
    def by(cls, error: BlockError) -> Refused:
        """Return the refusal that *error* stands for."""
        if isinstance(error, ProviderBusyError):
            return cls(Refusal.BUSY, str(error), error)
        permanent = isinstance(error, BlockRejectedError)
        return cls(Refusal.FOR_GOOD if permanent else Refusal.FAILED, str(error), error)


@dataclass(frozen=True)
class BlockRequest:
    """Request for one block; all that a provider learns about it."""

    run: RunId
    executor: str
    block: BlockId
    image: Image
    """As the user wrote it; an empty one, which is false, asks for the bare node."""

    manager: ManagerSettings
    """Delivered to each node of the block so that only the manager's user can read it: it holds keys."""

    log_file: Path
    """On the driver's machine; the block's output is appended to it while the block runs."""

    nodes: int = 1
    walltime: Optional[float] = None
    """Seconds after which the provider's system may end the block; None leaves it to that system."""

    folder: str = ""
    """Folder on the driver's machine in which workers start if blocks see it; empty leaves it to the provider."""

    shared_folders: tuple[str, ...] = ()
    """Folders on the driver's machine that tasks should see under the same paths: that of the run, and `folder`."""

    command: Optional[NodeCommand] = None
    """Run on each node instead of a manager from the capsule; None starts such a manager."""

    @property
    def name(self) -> str:
        """Return ``cnflow-RUN-EXECUTOR-BLOCK``, in characters that every system accepts in names."""
        return block_name(self.run, self.executor, self.block)


def block_name(run: RunId, executor: str, block: BlockId) -> str:
    """Return the name by which a provider's system lists a block, and by which it is found again."""
    return in_names(f"cnflow-{run}-{executor}-{block}")


def label_conflict(label: str, taken: Iterable[str]) -> str:
    """Return why an executor cannot have *label* beside the *taken* ones; empty if it can.

    Blocks of two executors must not have one name: each executor would find, adopt and cancel those of the other.
    """
    for other in taken:
        if other == label:
            return f"two executors are labelled {label!r}; give each its own label"
        if in_names(other) == in_names(label):
            return (
                f"two executors are labelled {other!r} and {label!r}, and names of blocks hold both as "
                f"{in_names(label)!r}; give them labels that differ in letters, digits, '_', '.' or '-'"
            )
    return ""


def in_names(text: str) -> str:
    """Return *text* in characters that every system accepts in names."""
    return re.sub(r"[^a-zA-Z0-9_.-]+", "-", text)
