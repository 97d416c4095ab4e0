"""Collects events of the workers for the sinks of the run, and makes one message of them a second. No I/O.

::

    worker ──STAGING──> on_records ──────────┐
    loop ──ready, exited, waits──────────────┼──> notes ──take(now), once a PERIOD──> Events ──> driver
    running tasks, once a PERIOD: on_running ┘      └─more than LIMIT: progress of files is dropped and counted

A task that is over before the manager looks is not noted: its result has when and where it ran. So the notes of
running tasks are as many as workers each second, not as tasks, and none is dropped. Where the run has no sinks, files
that are moved alone are noted.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Optional

from cnflow.ids import BlockId
from cnflow.units import Seconds
from cnflow.wire.manager_messages import Events, WorkerNote
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnflow.ids import ManagerId
    from cnflow.manager.items.waiting import Wait
    from cnflow.manager.state import Manager
    from cnflow.manager.workers.table import Workers
    from cnflow.wire.pipe import Record

PERIOD = Seconds(1.0)
LIMIT = 10_000
"""Notes that wait for the next message before the progress of files is dropped: some 500 KB."""


def is_progress(note: WorkerNote) -> bool:
    """Return True if *note* reports how far a file is; the first and the last one of a file are more than that."""
    return 0 < note.done != note.total


class WorkerEvents:
    """Events of one manager's workers; see the module.

    Args:
        manager: id of the manager.
        block: id of its block.
        host: name of its node.
        is_complete: note everything, for sinks; else only the staging of files.
    """

    def __init__(self, manager: ManagerId, block: str, host: str, *, is_complete: bool = True) -> None:
        self.is_complete = is_complete
        self._manager = manager
        self._block = BlockId(block)
        self._host = host
        self._notes: list[WorkerNote] = []
        self._dropped = 0
        self._sent_at = self._looked_at = Seconds(-math.inf)
        self._running: dict[int, tuple[int, int]] = {}
        """Task and attempt that was noted last of each worker."""

        self._staging: dict[int, tuple[int, int]] = {}
        """Task and attempt whose files a worker fetches: its function does not run yet."""

        self._may_have_begun = False

    @property
    def next_deadline(self) -> Seconds:
        """Time to call `on_running` and `take`; infinite while there is nothing to look for and to send."""
        if self._notes or self._dropped:
            return Seconds(self._sent_at + PERIOD)
        return Seconds(self._looked_at + PERIOD if self._may_have_begun else math.inf)

    def on_records(self, worker: int, records: list[Record], state: Manager) -> list[Record]:
        """Note the events among *records*, and return the others."""
        if self.is_complete and records and records[0].type == ResultKind.READY:
            self._note(WorkerNote(time.time(), worker, "ready"))
        self._may_have_begun = self.is_complete
        if not any(record.type == ResultKind.STAGING for record in records):
            return records
        held, rest = state.held(), []
        for record in records:
            if record.type == ResultKind.STAGING:
                attempt = held.get(record.id, -1)  # type: ignore[call-overload]  # an id of a task, from a worker
                name, url, done, total = (bytes(part).decode() for part in record.parts)
                if name == "staging_in":
                    self._staging[worker] = record.id, attempt
                else:
                    self._staging.pop(worker, None)
                self._note(WorkerNote(record.seconds, worker, name, record.id, attempt, "", url, int(done), int(total)))
            else:
                rest.append(record)
        return rest

    def on_work(self) -> None:
        """Look for tasks that have begun, with the next message."""
        self._may_have_begun = self.is_complete

    def on_running(self, workers: Workers, now: Seconds) -> None:
        """Note the tasks that run now and were not noted, once a PERIOD."""
        if not self._may_have_begun or now < self._looked_at + PERIOD:
            return
        self._looked_at, self._may_have_begun = now, False
        for worker, (task, attempt) in workers.running_tasks().items():
            if (task, attempt) not in {self._running.get(worker), self._staging.get(worker)}:
                self._running[worker] = task, attempt
                begun = time.time() - (now - workers.task_began(worker))
                self._note(WorkerNote(begun, worker, "running", task, attempt))

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
        if not (self._notes or self._dropped) or now < self._sent_at + PERIOD:
            return None
        self._sent_at = now
        message = Events(self._manager, self._block, self._host, self._notes, self._dropped)
        self._notes, self._dropped = [], 0
        return message

    def _note(self, note: WorkerNote) -> None:
        if len(self._notes) >= LIMIT and is_progress(note):
            self._dropped += 1
        else:
            self._notes.append(note)
