"""Decides whether a task fits no node, for sure. No I/O.

A partition may mix nodes: the first one that registers tells nothing of the next block's. A task that fits no node so
far is failed once enough different blocks were seen, or when nothing more is to come::

    a node registers ──> its kind is kept, unless a kept one has as much of everything
                              │
    fits no kind, and ──┬── a block that was requested has not registered yet ──────────────────> waits
                        ├── blocks of `sure_after` ids were seen ───────────────────────────────> DOES_NOT_FIT
                        ├── fewer were seen, but no new one for `PATIENCE` ─────────────────────> DOES_NOT_FIT
                        └── else ───────────────────────────────────────────────────────────────> waits
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Optional

from cnflow.interchange.scheduler.node import NodeCapacity, describe_needs
from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.ids import BlockId
    from cnflow.tasks.node_shape import NodeShape
    from cnflow.wire.manager_messages import ManagerInfo, Needs
    from cnflow.wire.messages import Task

PATIENCE = Seconds(120.0)
"""Time without a new block after which no other kind of node is expected."""

_MAX_SEEN = 16
_MAX_LINES = 16


class NodeKinds:
    """Kinds of nodes that registered so far; later blocks of the executor may be alike.

    Args:
        sure_after: number of blocks to see before a task is known to fit none; 1 where all nodes are alike.
    """

    def __init__(self, sure_after: int = 1) -> None:
        self._sure_after = min(sure_after, _MAX_SEEN)
        self._examples: dict[NodeShape, NodeCapacity] = {}
        self._seen: set[BlockId] = set()
        """Up to so many blocks as are needed."""

        self._requested: set[BlockId] = set()
        self._last_news = Seconds(math.inf)
        self.may_judge = True
        """False after a restart, before all managers are back."""

    def __bool__(self) -> bool:
        return bool(self._examples)

    def on_requested(self, block: BlockId) -> None:
        """A block is requested; its nodes may be of another kind."""
        self._requested.add(block)

    def on_forgotten(self, block: BlockId, now: Seconds) -> None:
        """A block is gone, perhaps before one of its nodes was seen."""
        if block in self._requested:
            self._requested.remove(block)
            self._last_news = now

    def on_registered(self, info: ManagerInfo, capacity: NodeCapacity, now: Seconds) -> bool:
        """A node registered; return whether tasks may fit it that fitted none before."""
        self._requested.discard(info.block)
        if info.block not in self._seen:
            self._last_news = now
            if len(self._seen) < self._sure_after:
                self._seen.add(info.block)
        shape = capacity.shape
        alike = [kind for kind in self._examples if kind.worker_share == shape.worker_share]
        covering = next((kind for kind in alike if kind.total.covers(shape.total)), None)
        if covering is not None:
            if self._examples[covering].life < capacity.life and covering == shape:
                self._examples[covering] = capacity
            return False
        for kind in alike:
            if shape.total.covers(kind.total):
                del self._examples[kind]
        self._examples[shape] = capacity
        return True

    def could_fit(self, needs: Needs) -> bool:
        """True if a task with *needs* fits an empty node of some kind, or no node is known yet."""
        return not self._examples or any(capacity.could_fit(needs) for capacity in self._examples.values())

    def is_sure(self, now: Optional[Seconds] = None) -> bool:
        """True if no other kind of node is expected; at an unknown moment patience is not over."""
        if self._requested or not self._examples or not self.may_judge:
            return False
        return len(self._seen) >= self._sure_after or (now is not None and now - self._last_news >= PATIENCE)

    def explain(self, task: Task, walltime: str) -> str:
        """Body of DOES_NOT_FIT: what *task* requests in the first line, then a line for each kind of node."""
        request = [describe_needs(task.needs) if task.needs is not None else "", walltime]
        lines = [str(capacity) for capacity in self._examples.values()]
        return "\n".join([", ".join(filter(None, request)), *lines[:_MAX_LINES]])
