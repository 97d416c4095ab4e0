"""Parts of a block controller that tests replace: time, threads and queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cnflow.blocks.inbox import Inbox
from cnflow.blocks.lanes import ThreadLane
from cnflow.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.blocks.events import Event
    from cnflow.blocks.lanes import Lane
    from cnflow.clock import Clock


class Parts(NamedTuple):
    """Time, threads and queue of a controller."""

    clock: Clock
    """Read by the thread of `BlockController.run`."""

    make_lane: Callable[[str], Lane]
    """Makes the thread for one kind of call; takes the kind."""

    inbox: Inbox[Event]

    @classmethod
    def of(cls, label: str) -> Parts:
        """Return those of a real run, for the executor *label*."""
        return cls(SystemClock(), lambda kind: ThreadLane(f"cnflow-{label}-{kind}"), Inbox())
