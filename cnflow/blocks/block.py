"""A block's life, as its one owner sees it; pure.

The steps that there are::

REQUESTED ──accepted──> PENDING ──> RUNNING ──drain──> DRAINING ──drained──> ENDED
    │                      │           │                  │
    │ not needed           │           │ no manager       └── the system says that it ended ──> ENDED
    ├──> ENDED             │           └── in time ──> DRAINING ──drained──> MISSING
    └── refused ──> FAILED └── ended before a manager connected ──> MISSING, or FAILED if its system says so;
                               after: ENDED, or FAILED
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnflow.model.block import BlockState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId, NativeId
    from cnflow.units import Seconds


class Stage(enum.Enum):
    """Where a block is in its life."""

    REQUESTED = "requested"
    """Wanted; perhaps not yet told to the provider."""

    PENDING = "pending"
    RUNNING = "running"
    DRAINING = "draining"
    """Is given nothing more; ends when it has done what it has."""

    ENDED = "ended"
    FAILED = "failed"
    MISSING = "missing"
    """It ran, or is gone, and no manager of it ever connected in time."""


FINAL = frozenset({Stage.ENDED, Stage.FAILED, Stage.MISSING})

NEXT: Mapping[Stage, frozenset[Stage]] = {
    Stage.REQUESTED: frozenset({Stage.PENDING, *FINAL}),
    Stage.PENDING: frozenset({Stage.RUNNING, Stage.DRAINING, *FINAL}),
    Stage.RUNNING: frozenset({Stage.DRAINING, *FINAL}),
    Stage.DRAINING: FINAL,
    Stage.ENDED: frozenset(),
    Stage.FAILED: frozenset(),
    Stage.MISSING: frozenset(),
}
"""Every step there is."""


@dataclass
class Block:
    """One of a fleet's blocks."""

    id: BlockId
    stage: Stage = Stage.REQUESTED
    native: NativeId | None = None
    """None until the provider has taken it."""

    requested_at: float = 0.0
    said: str = ""
    """What its provider said of it last."""

    managers: int = 0
    """Connected now."""

    slots: int = 0
    connected_at: Seconds | None = None
    """When its first manager did; None before."""

    alone_since: Seconds | None = None
    """Since when it runs without a manager."""

    told_at: Seconds | None = None
    """When the interchange was told last that it drains."""

    is_late: bool = False
    """It drains because no manager connected in time."""

    @property
    def is_active(self) -> bool:
        """Whether it counts as capacity, there or coming."""
        return self.stage in {Stage.REQUESTED, Stage.PENDING, Stage.RUNNING}

    def become(self, stage: Stage) -> None:
        """Take a step of `NEXT`.

        Raises:
            ValueError: there is no such step.
        """
        if stage not in NEXT[self.stage]:
            raise ValueError(f"block {self.id} cannot become {stage.value}: it is {self.stage.value}")
        self.stage = stage

    def joined(self, slots: int, now: Seconds) -> None:
        """A manager connected. Whatever the provider said last, the block runs."""
        if self.stage is Stage.PENDING:
            self.become(Stage.RUNNING)
        self.managers += 1
        self.slots += slots
        self.alone_since = None
        if self.connected_at is None:
            self.connected_at = now

    def left(self, slots: int, now: Seconds) -> None:
        """A manager is gone."""
        self.managers -= 1
        self.slots -= slots
        if not self.managers:
            self.alone_since = now

    def seen(self, state: BlockState, now: Seconds) -> None:
        """The provider says that it lives."""
        if state is BlockState.RUNNING and self.stage is Stage.PENDING:
            self.become(Stage.RUNNING)
            self.alone_since = now

    def last_stage(self, state: BlockState) -> Stage:
        """What it becomes now that the provider says that it is no more."""
        if self.is_late:
            return Stage.MISSING
        if self.stage is Stage.DRAINING:
            return Stage.ENDED
        if state is BlockState.FAILED:
            return Stage.FAILED
        return Stage.MISSING if self.connected_at is None else Stage.ENDED
