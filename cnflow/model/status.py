"""How an executor is doing, for people: progress lines, tables, doctors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class ExecutorStatus:
    """A moment of one executor."""

    label: str
    image: str
    """Empty on the bare node."""

    blocks: int
    """Started and not ended, as far as the provider says."""

    managers: int
    """Connected now."""

    workers: int
    """Slots of the connected managers."""


@dataclass(frozen=True)
class BlockReport:
    """A moment of one block."""

    block: str
    native: str
    """The provider's own id; empty before the provider was asked."""

    state: str
    """``requested``, ``pending``, ``running`` or ``draining``."""

    nodes: int
    """Those whose manager is connected now."""

    workers: int
    """Slots of these."""

    tasks: Optional[int]
    """Given to these and not given back; None if nobody says."""

    age: float
    """Seconds since it was wanted."""

    message: str
    """Last words on it, one line: the provider's own, or why there is nothing of it yet."""
