"""How an executor is doing, for people: progress lines, tables, doctors."""

from __future__ import annotations

from dataclasses import dataclass


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
