"""Collects events of the workers for the sinks of the run, and makes one message of them a second. No I/O.

::

    worker ──EVENT record──> on_records ──┐
    loop ──ready, exited─────────────────┴──> at most LIMIT notes ──take(now), once a PERIOD──> Events ──> interchange
                                                  └─full: dropped and counted

The loop has one of these only where the run has sinks; without, workers write no EVENT record.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Optional

from cnflow.ids import BlockId
from cnflow.units import Seconds
from cnflow.wire.manager_messages import Events, WorkerNote
from cnflow.wire.pipe import ResultKind, ToWorker, pack

if TYPE_CHECKING:
    from cnflow.ids import ManagerId
    from cnflow.manager.state import Manager
    from cnflow.wire.pipe import Part, Record

PERIOD = Seconds(1.0)
LIMIT = 10_000
"""Notes that wait for the next message: some 500 KB."""


class WorkerEvents:
    """Events of one manager's workers; see the module.

    Args:
        manager: id of the manager.
        block: id of its block.
        host: name of its node.
    """

    order: list[Part] = pack(ToWorker.SEND_EVENTS, 0, 0.0, [])
    """Record that makes a worker send its events."""

    def __init__(self, manager: ManagerId, block: str, host: str) -> None:
        self._manager = manager
        self._block = BlockId(block)
        self._host = host
        self._notes: list[WorkerNote] = []
        self._dropped = 0
        self._sent_at = Seconds(-math.inf)

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `take`; infinite while there is nothing to send."""
        return Seconds(self._sent_at + PERIOD if self._notes or self._dropped else math.inf)

    def on_records(self, worker: int, records: list[Record], state: Manager) -> list[Record]:
        """Note the events among *records*, and return the others."""
        if records and records[0].type == ResultKind.READY:
            self._note(WorkerNote(time.time(), worker, "ready"))
        rest = [record for record in records if record.type != ResultKind.EVENT]
        if len(rest) < len(records):
            held = state.held()
            for record in records:
                if record.type == ResultKind.EVENT:
                    attempt = held.get(record.id, -1)  # type: ignore[call-overload]  # an id of a task, from a worker
                    self._note(WorkerNote(record.seconds, worker, "running", record.id, attempt))
        return rest

    def on_exit(self, worker: int, exitcode: int, cause: str) -> None:
        """Note that the process of *worker* has ended."""
        reason = f"exit code {exitcode}" + (cause and f", {cause}")
        self._note(WorkerNote(time.time(), worker, "exited", reason=reason))

    def take(self, now: Seconds) -> Optional[Events]:
        """Return the message to send now; None if nothing is due."""
        if now < self.next_deadline:
            return None
        self._sent_at = now
        message = Events(self._manager, self._block, self._host, self._notes, self._dropped)
        self._notes, self._dropped = [], 0
        return message

    def _note(self, note: WorkerNote) -> None:
        if len(self._notes) < LIMIT:
            self._notes.append(note)
        else:
            self._dropped += 1
