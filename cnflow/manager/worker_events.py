"""Collects events of the workers for the sinks of the run, and makes one message of them a second. No I/O.

::

    worker ──EVENT, STAGING──> on_records ──┐
    loop ──ready, exited, waits─────────────┴──> at most LIMIT notes ──take(now), once a PERIOD──> Events ──> driver
                                                     └─full: dropped and counted

Where the run has no sinks, workers write no EVENT record, and files that are moved alone are noted.
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
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.manager.items.waiting import Wait
    from cnflow.manager.state import Manager
    from cnflow.wire.pipe import Part, Record

_EVENTS = frozenset({ResultKind.EVENT, ResultKind.STAGING})
PERIOD = Seconds(1.0)
LIMIT = 10_000
"""Notes that wait for the next message: some 500 KB."""


class WorkerEvents:
    """Events of one manager's workers; see the module.

    Args:
        manager: id of the manager.
        block: id of its block.
        host: name of its node.
        is_complete: note everything, for sinks; else only the staging of files.
    """

    order: list[Part] = pack(ToWorker.SEND_EVENTS, 0, 0.0, [])
    """Record that makes a worker send its events."""

    def __init__(self, manager: ManagerId, block: str, host: str, *, is_complete: bool = True) -> None:
        self.is_complete = is_complete
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
        if self.is_complete and records and records[0].type == ResultKind.READY:
            self._note(WorkerNote(time.time(), worker, "ready"))
        if not any(record.type in _EVENTS for record in records):
            return records
        held, rest = state.held(), []
        for record in records:
            attempt = held.get(record.id, -1)  # type: ignore[call-overload]  # an id of a task, from a worker
            if record.type == ResultKind.STAGING:
                name, url, done, total = (bytes(part).decode() for part in record.parts)
                self._note(WorkerNote(record.seconds, worker, name, record.id, attempt, "", url, int(done), int(total)))
            elif record.type == ResultKind.EVENT:
                self._note(WorkerNote(record.seconds, worker, "running", record.id, attempt))
            else:
                rest.append(record)
        return rest

    def on_waits(self, waits: Iterable[Wait]) -> None:
        """Note the tasks that have begun, or ceased, to wait for contents that travel apart from them."""
        for task, attempt, total, done in waits:
            state = "staging_in" if total >= 0 else "staged"
            self._note(WorkerNote(time.time(), -1, state, task, attempt, done=done, total=total))

    def is_due(self, now: Seconds) -> bool:
        """Return True a PERIOD after the last message: whoever has something to report may do so."""
        return now >= self._sent_at + PERIOD

    def on_exit(self, worker: int, exitcode: int, cause: str) -> None:
        """Note that the process of *worker* has ended."""
        if not self.is_complete:
            return
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
