"""Decides when results are written to the checkpoint, whose file `store` keeps.

record_all() ──> pending results ──> written to the checkpoint
                      │                 at once                   task_exit
                      │                 once in each period       periodic, and by close()
                      │                 by close()                dfk_exit
                      │                 by checkpoint()           manual, and every other mode
                      │
                      └── a write fails ──> logged, still pending: the next write tries again
"""

from __future__ import annotations

import enum
import logging
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

from cnflow.dataflow.memo.checkpoint_paths import FILE, FOLDER
from cnflow.dataflow.memo.store import CheckpointStore, Entry
from cnflow.errors import BadCheckpoint
from cnflow.units import seconds_of_period

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cnflow.model.provenance import Origin

logger = logging.getLogger(__name__)

DEFAULT_PERIOD = "00:30:00"


class Mode(str, enum.Enum):
    """Moment at which results are written."""

    TASK_EXIT = "task_exit"
    """Before the task's future is set."""

    PERIODIC = "periodic"
    """Once in each period, and when the run ends."""

    DFK_EXIT = "dfk_exit"
    """At the end of the run."""

    MANUAL = "manual"
    """On a call of `Checkpointer.checkpoint`, which also writes in every other mode."""


class Checkpointer:
    """Holds results until they are due, and writes them to the checkpoint of one run. Safe from any thread.

    A write that fails is logged and repeated with the next results, since a full disk is no reason to end a run; only
    `checkpoint` raises its error. While one thread writes, others add results without waiting for the disk, except in
    mode task_exit, where a result is to be in the file before its future is set.

    Args:
        run_dir: folder of the run; the checkpoint's folder is made in it by the first write.
        mode: one of `Mode` or its value; None is manual.
        period: time between two writes in mode periodic, as `cnflow.units.seconds_of_period` takes it.
        now: returns the Unix time.
    """

    def __init__(
        self,
        run_dir: Path,
        mode: Mode | str | None = None,
        period: str | float | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = run_dir / FOLDER
        self.mode = Mode.MANUAL if mode is None else Mode(mode)
        self._now = now
        self._pending: list[Entry] = []
        self._store: CheckpointStore | None = None
        self._lock = threading.Lock()
        """Held for moments, while results enter or leave `_pending`."""

        self._write_lock = threading.Lock()
        """Held while results are written; taken before `_lock`."""

        self._is_closed = False
        self._is_closing = threading.Event()
        self._timer: threading.Thread | None = None
        if self.mode is Mode.PERIODIC:
            seconds = seconds_of_period(DEFAULT_PERIOD if period is None else period)
            self._timer = threading.Thread(
                target=self._write_periodically, args=(seconds,), name="cnflow-checkpoint", daemon=True
            )
            self._timer.start()

    def record(self, key: bytes, value: bytes, app: str) -> None:
        """Record one result; see `record_all`."""
        self.record_all([(key, value, app)])

    def record_all(self, results: Iterable[tuple[bytes, bytes, str] | tuple[bytes, bytes, str, Origin | None]]) -> None:
        """Hold *results*; in mode task_exit write them before returning.

        Each is a key, a pickled value, an app's name, and where it was made if that is known. The caller sets the
        futures afterwards, so that a result the user has seen is in the file.
        """
        moment = self._now()
        with self._lock:
            self._pending.extend(Entry(*result[:3], moment, *result[3:]) for result in results)
        if self.mode is Mode.TASK_EXIT:
            self._write_or_log()

    def checkpoint(self) -> Path:
        """Write pending results; return the folder of the checkpoint, which exists from now on.

        Raises:
            BadCheckpoint: the file cannot be written; the results stay pending.
        """
        try:
            with self._write_lock:
                self._write()
        except (sqlite3.Error, OSError) as error:
            raise BadCheckpoint(str(self.folder / FILE), f"it cannot be written: {error}") from error
        return self.folder

    def close(self) -> None:
        """Write pending results unless the mode is manual, and close the file. Closing again does nothing."""
        self._is_closing.set()
        if self._timer is not None:
            self._timer.join()
        if self.mode is not Mode.MANUAL:
            self._write_or_log()
        with self._write_lock:
            self._is_closed = True  # the run has ended: a result that comes now has a future that failed
            if self._store is not None:
                self._store.close()
                self._store = None
            self._pending = []

    def _write_periodically(self, seconds: float) -> None:
        while not self._is_closing.wait(seconds):
            self._write_or_log()

    def _write_or_log(self) -> None:
        with self._write_lock:
            try:
                if self._pending:
                    self._write()
            except (sqlite3.Error, OSError, BadCheckpoint) as error:
                logger.warning("%d results could not be written to %s: %s", len(self._pending), self.folder, error)

    def _write(self) -> None:
        """Write the pending results in their order; they stay pending if that fails."""
        if self._is_closed:
            return
        if self._store is None:
            self._store = CheckpointStore(self.folder / FILE)
        with self._lock:
            due = self._pending[:]
        if due:
            self._store.append(due)
            with self._lock:
                del self._pending[: len(due)]
