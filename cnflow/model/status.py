"""Snapshots of executors and blocks, for progress lines and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Optional


@dataclass(frozen=True)
class ExecutorStatus:
    """Snapshot of one executor."""

    label: str
    image: str
    """Empty on the bare node."""

    blocks: int
    """Blocks that started and have not ended, according to the provider."""

    managers: int
    """Managers that are connected."""

    workers: int
    """Workers of the connected managers."""


@dataclass(frozen=True)
class BlockReport:
    """Snapshot of one block."""

    block: str
    native: str
    """Id of the provider; empty before the block is submitted."""

    state: str
    """``requested``, ``pending``, ``running`` or ``draining``."""

    nodes: int
    """Nodes whose manager is connected."""

    workers: int
    """Workers of these nodes."""

    tasks: Optional[int]
    """Tasks that these nodes hold; None if that is not known."""

    age: float
    """Seconds since the block was requested."""

    message: str
    """Last message about the block, one line: of the provider, or the reason why it was not submitted yet."""


class StagingTotals(NamedTuple):
    """Files of a run that are on their way."""

    files: int = 0
    size: int = 0
    """Bytes of them that were moved, as far as that is known."""

    rate: float = 0.0
    """Bytes a second."""
