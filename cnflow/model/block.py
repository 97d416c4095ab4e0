"""A block: one thing got from a provider."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.ids import BlockId, RunId
    from cnflow.model.manager_settings import ManagerSettings


class BlockState(enum.Enum):
    """Where a block is in its life, as its provider sees it."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"
    FAILED = "failed"
    GONE = "gone"
    """The provider's system does not know the block: it ended and was removed, or never was."""

    @property
    def is_final(self) -> bool:
        """Whether the block will never run again."""
        return self not in {BlockState.PENDING, BlockState.RUNNING}


@dataclass(frozen=True)
class BlockStatus:
    """What a provider says of one block."""

    state: BlockState
    message: str = ""
    """The provider's own words on why, for people."""


@dataclass(frozen=True)
class BlockRequest:
    """One block to start; all that a provider gets to know about it."""

    run: RunId
    executor: str
    block: BlockId
    image: str
    """As the user wrote it; empty asks for the bare node."""

    manager: ManagerSettings
    """To be delivered to each node of the block as a file that only the manager's user can read."""

    log_file: Path
    """On the driver's machine; what the block prints is to be appended here while it runs."""
