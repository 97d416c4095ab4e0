"""Seam between the events of a run and their recorders, which `Config(sinks=[...])` names.

::

    task graph ──────────────────┐
    blocks, managers, interchange ├──> EventHub: a queue ──one thread──> sink.write([event, ...]) ──> a file,
    workers ──> managers ────────┘                │                         │                         a database
                              full: samples are dropped, and counted        └─raises: logged, these are lost

Registered by an entry point of the group ``cnflow.sinks``, whose settings name the sink as their `backend`, called as
``backend(settings, run_dir)``. Without a sink, no event is made anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from cnflow.model.events import AnyEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

Emit = Callable[[AnyEvent], None]
"""Takes one event; from any thread. Never blocks and never raises."""


class Sink(Protocol):
    """Records the events of one run. Called from one thread, never from a thread that runs or submits tasks.

    One with an attribute ``takes_batches`` that is True gets `SubmittedTasks` and `DoneTasks` as they are, for a run of
    many tasks, and `SampleBatch`; others get the single events instead. An attribute `close_timeout` is the time in
    seconds that `close` may take, where that is longer than ten.
    """

    def write(self, events: Sequence[AnyEvent]) -> None:
        """Record *events*, in the order in which the driver had them. An exception is logged, and they are lost."""

    def close(self) -> None:
        """Record what is buffered; called once, at the end of the run."""
