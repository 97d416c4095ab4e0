"""Seam between the events of a run and their recorder; reserved: no run writes to a sink yet.

::

    worker, manager, driver ──events──> run ──write([event, ...])──> sink ──> a file, a database, a dashboard

Registered by an entry point of the group ``cnflow.sinks``, whose settings name the sink as their `backend`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Sink(Protocol):
    """Records the events of one run. Called from one thread, never from a thread that runs or submits tasks."""

    def write(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Record *events*, in their order. An exception is logged, and the events are lost.

        Every event has ``kind`` and ``time`` (seconds since 1970); its values are those that JSON can hold.
        """

    def close(self) -> None:
        """Record what is buffered; called once, at the end of the run."""
