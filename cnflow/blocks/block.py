"""Life of one block, as the block controller sees it. No I/O.

::

    REQUESTED ──accepted──> PENDING ──> RUNNING ──drain──> DRAINING ──drained──> ENDED
        │                      │           │                  └── ended at the provider ──> ENDED
        ├── no answer, but a   │           │
        │   manager ──> RUNNING│           │
        ├── no answer, not     │           │
        │   listed ──> MISSING │           │
        ├── not needed any     │           ├── no manager in time ──> DRAINING ──> MISSING
        │   more ──> ENDED     │           │
        │                      └───────────┴── ended at the provider
        └── refused ──> FAILED                   before a manager connected ──> MISSING, or FAILED if reported so
                                                 after ───────────────────────> ENDED, or FAILED if reported so
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.block import BlockState
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.ids import BlockId, NativeId
    from cnflow.model.block import BlockStatus


class Stage(enum.Enum):
    """Stage of a block's life."""

    REQUESTED = "requested"
    """Wanted; not submitted yet, or its submission has no answer yet, or will never have one."""

    PENDING = "pending"
    RUNNING = "running"
    DRAINING = "draining"
    """Given no further task; removed once its tasks are finished."""

    ENDED = "ended"
    FAILED = "failed"
    MISSING = "missing"
    """Ran, or disappeared, without a manager that connected in time."""


FINAL = frozenset({Stage.ENDED, Stage.FAILED, Stage.MISSING})

NEXT: Mapping[Stage, frozenset[Stage]] = {
    Stage.REQUESTED: frozenset({Stage.PENDING, Stage.RUNNING, *FINAL}),
    Stage.PENDING: frozenset({Stage.RUNNING, Stage.DRAINING, *FINAL}),
    Stage.RUNNING: frozenset({Stage.DRAINING, *FINAL}),
    Stage.DRAINING: FINAL,
    Stage.ENDED: frozenset(),
    Stage.FAILED: frozenset(),
    Stage.MISSING: frozenset(),
}
"""All steps of a block's life."""


class Patience(NamedTuple):
    """Times for which a block is given the benefit of the doubt."""

    startup: Seconds
    """A block that runs this long without a manager is ended."""

    status_lag: Seconds = Seconds(0.0)
    """See `cnflow.model.traits.Traits.status_lag`."""


@dataclass
class Block:
    """One block of an executor."""

    id: BlockId
    stage: Stage = Stage.REQUESTED
    native: NativeId | None = None
    """None until the provider has accepted it, or has listed it after no answer."""

    requested_at: float = 0.0
    accepted_at: Seconds | None = None
    submitted_at: Seconds | None = None
    """Time at which the call began that submits it and has not returned; None otherwise."""

    unconfirmed_since: Seconds | None = None
    """Time of a submission that got no answer, so that the block may run; None otherwise."""

    reported_at: Seconds | None = None
    """Time of the provider's last report on it, or of its acceptance."""

    is_silence_reported: bool = False
    """True once the user was warned that the provider does not report it."""

    message: str = ""
    """Last words of its provider."""

    last_status: BlockStatus | None = None
    """Last report of its provider."""

    managers: int = 0
    """Connected managers."""

    slots: int = 0
    connected_at: Seconds | None = None
    """Time at which its first manager connected; None before."""

    finished_before: int = 0
    """Tasks of the executor that were finished when its first manager connected."""

    was_idle: bool = False
    """Seen without a task since a manager connected."""

    was_used: bool = False
    """Seen with a task."""

    without_manager_since: Seconds | None = None
    """Start of its present time as RUNNING without a manager; None otherwise."""

    drain_ordered_at: Seconds | None = None
    """Time of the last order to the interchange to drain it."""

    is_late: bool = False
    """Draining because no manager connected in time."""

    is_queued: bool = False
    """Reported as pending by its provider's system: it waits for its turn there."""

    @property
    def is_active(self) -> bool:
        """True if it counts as capacity, present or coming."""
        return self.stage in {Stage.REQUESTED, Stage.PENDING, Stage.RUNNING}

    @property
    def is_waiting(self) -> bool:
        """True if it is still to be submitted."""
        return self.native is None and self.unconfirmed_since is None and self.submitted_at is None

    @property
    def is_unproven(self) -> bool:
        """True if it is connected and was not seen with a task yet."""
        return self.connected_at is not None and not self.was_used

    @property
    def is_lonely(self) -> bool:
        """True if it runs without a manager."""
        return self.stage is Stage.RUNNING and self.without_manager_since is not None

    @property
    def is_untried(self) -> bool:
        """True if it may soon show whether blocks work: it runs, or has just been accepted, and has not connected.

        One that waits in a queue is not among them: it may wait for hours, and others would wait for it.
        """
        return self.is_active and self.native is not None and self.connected_at is None and not self.is_queued

    def become(self, stage: Stage) -> None:
        """Take a step of `NEXT`.

        Raises:
            ValueError: there is no such step.
        """
        if stage not in NEXT[self.stage]:
            raise ValueError(f"block {self.id} cannot become {stage.value}: it is {self.stage.value}")
        self.stage = stage

    def on_accepted(self, native: NativeId, now: Seconds) -> None:
        """Record that the provider has it, as *native*."""
        self.native, self.accepted_at, self.reported_at, self.unconfirmed_since = native, now, now, None
        self.submitted_at = None
        if self.stage is Stage.REQUESTED:
            self.become(Stage.PENDING)

    def on_manager_connected(self, slots: int, now: Seconds) -> None:
        """Count one more manager. The block runs, whatever the provider reported last."""
        if self.stage in {Stage.REQUESTED, Stage.PENDING}:
            self.become(Stage.RUNNING)
        if self.native is None and self.unconfirmed_since is None:
            self.unconfirmed_since = now
        self.managers += 1
        self.slots += slots
        self.without_manager_since = None
        self.is_queued = False
        if self.connected_at is None:
            self.connected_at = now

    def on_manager_lost(self, slots: int, now: Seconds) -> None:
        """Count one manager less."""
        self.managers -= 1
        self.slots -= slots
        if not self.managers:
            self.without_manager_since = now

    def is_overdue(self, now: Seconds, patience: Seconds) -> bool:
        """Return True if it has run without a manager for *patience*."""
        return self.is_lonely and now - (self.without_manager_since or 0.0) >= patience

    def listed_from(self, status_lag: Seconds) -> Seconds:
        """Return the time from which the system lists a block without an answer, if it has it."""
        return Seconds((self.unconfirmed_since or 0.0) + status_lag)

    def is_absent(self, now: Seconds, status_lag: Seconds) -> bool:
        """Return True if no answer will come, no manager is connected, and the system would have listed it *now*."""
        if self.unconfirmed_since is None or self.submitted_at is not None or self.managers:
            return False
        return now - max(self.unconfirmed_since, self.without_manager_since or 0.0) >= status_lag

    def on_alive(self, state: BlockState, now: Seconds) -> None:
        """Follow the provider's report of a state that is not final."""
        if self.stage is Stage.PENDING and state is not BlockState.UNKNOWN:
            self.is_queued = state is BlockState.PENDING
        elif self.stage is Stage.RUNNING and not self.managers and state is not BlockState.UNKNOWN:
            self._follow_requeue(state, now)
        if state is BlockState.RUNNING and self.stage is Stage.PENDING:
            self.become(Stage.RUNNING)
            self.without_manager_since = now

    def _follow_requeue(self, state: BlockState, now: Seconds) -> None:
        """Keep a block that its system has put back into the queue, and expect a manager once it runs again."""
        self.is_queued = state is BlockState.PENDING
        if self.is_queued:
            self.without_manager_since = None
        elif self.without_manager_since is None:
            self.without_manager_since = now

    def on_unreported(self, now: Seconds, patience: Seconds) -> bool:
        """Follow an answer of the provider that leaves the block out; return True once, after *patience*."""
        silence = now - (self.reported_at if self.reported_at is not None else now)
        if self.stage is not Stage.PENDING or silence < patience:
            return False
        self.message = f"not reported by its provider for {silence:.0f} s"
        is_first, self.is_silence_reported = not self.is_silence_reported, True
        return is_first

    def final_stage(self, state: BlockState) -> Stage:
        """Return the stage that it ends in when the provider reports the final *state*."""
        if self.is_late:
            return Stage.MISSING
        if self.stage is Stage.DRAINING:
            return Stage.ENDED
        if state is BlockState.FAILED:
            return Stage.FAILED
        return Stage.MISSING if self.connected_at is None else Stage.ENDED
