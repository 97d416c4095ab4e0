"""Process that writes a run's journal into the database: ``python -m cnflow.monitoring.store.writer RUN_DIR [URL]``.

::

    stdin: {"url": ..., "driver": PID, ...} as one line
                 │
    prepare the database, read its position ──> read frames, make rows, commit ──> at the end of the journal:
        ▲    └ locked, gone, full: wait, from there again                             the run goes on: wait
        └ the file was replaced: from the beginning of the journal                    ended, or the driver is gone: exit

It may be killed at any moment, and several may be started one after the other: what is in the database and up to where
in the journal is one transaction. It is nice to the run, and lives in a session of its own, so that the end of the
driver is not its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from cnflow.errors import ConfigurationError
from cnflow.model.events import RunEvent
from cnflow.monitoring.store import database, journal
from cnflow.monitoring.store.changes import Changes
from cnflow.monitoring.store.endpoint import expanded
from cnflow.monitoring.store.order import LOCK, LOG, Order, journals
from cnflow.monitoring.store.processes import is_running
from cnflow.monitoring.store.rows import RowMaker

if TYPE_CHECKING:
    from cnflow.monitoring.store.memory import Memory

logger = logging.getLogger(__name__)

_PART = 2**20
"""Bytes of the journal in one transaction: about 8,000 events, or 20,000 packed tasks."""

_PERIOD = 0.5
"""Seconds between two looks at a journal that had no more."""

_PATIENCE = 3600.0
"""Seconds after the end of its driver for which a database that does not answer is tried."""

_NICENESS = 10
_LONGEST_WAIT = 10.0


class Writer:
    """Writes one journal.

    Args:
        path: of the journal.
        order: of a driver, which appends to its own journal alone.
    """

    def __init__(self, path: Path, order: Order) -> None:
        self._order = order
        self._reader = journal.JournalReader(path)
        self._path = path
        self.is_of_driver = self._reader.id == order.journal
        self._has_ended = False
        """The run's last event was read."""

    def run(self) -> None:
        """Write until all is written, and the run has ended or its driver is gone; then remove the journal."""
        wait = 0.1
        alone_since = None
        while self._path.exists():
            try:
                self._run_once()
            except (SQLAlchemyError, OSError, ConfigurationError) as error:
                if not self._may_grow():
                    alone_since = alone_since or time.monotonic()
                    if time.monotonic() > alone_since + _PATIENCE:
                        raise
                logger.warning("the database cannot be written, the next try is in %.1f s: %s", wait, error)
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                self._path.unlink(missing_ok=True)
                return

    def close(self) -> None:
        """Close the journal."""
        self._reader.close()

    def _run_once(self) -> None:
        database.prepare(self._order.url)
        if not self._order.is_urgent:
            _be_nice()
        store = database.Store(self._order.url, self._reader.run)
        try:
            position, memory = store.position()
            is_known = memory.journal == self._reader.id
            position = max(memory.begin(self._reader.id, position), journal.BEGIN)
            self._has_ended = is_known and store.has_ended()  # another writer has read that, and was killed
            self._reader.seek(position)
            logger.debug("writing from byte %d on", position)
            while not store.is_replaced():
                is_alone = self._has_ended or not self._may_grow()
                if self._write_part(store, memory):
                    continue
                if is_alone:
                    self._finish(store, memory)
                    return
                time.sleep(_PERIOD)
            logger.warning("the database was replaced; the run is written into it from the beginning")
            raise OSError("the file of the database was replaced")
        finally:
            store.close()

    def _write_part(self, store: database.Store, memory: Memory) -> bool:
        """Write what the journal has, in one transaction; False if there was nothing."""
        before = self._reader.position
        maker = RowMaker(memory)
        try:
            for payload in self._reader.payloads(_PART):
                self._take(maker, payload)
        except journal.JournalError:
            if self._reader.position == before:
                raise
            # else what lies before the damage is written first, and the next call raises
        if self._reader.position == before:
            return False
        self._commit(store, maker.finish(), memory)
        return True

    def _take(self, maker: RowMaker, payload: bytes) -> None:
        end = self._reader.position
        events, lost = journal.decode(payload)
        if lost:
            logger.error("%d events at byte %d cannot be read", lost, end)
        maker.take(maker.memory.base + end - len(payload), events)
        if any(isinstance(each, RunEvent) and each.state != "running" for each in events):
            self._has_ended = True

    def _commit(self, store: database.Store, changes: Changes, memory: Memory) -> None:
        try:
            store.write(changes, self._reader.position, memory)
        except (DBAPIError, OverflowError, ValueError) as error:
            if not database.refuses_values(error):
                raise
            refused = store.write_most(changes, self._reader.position, memory)
            logger.error("%d rows could not be written", refused)  # noqa: TRY400 - each was logged with its error

    def _may_grow(self) -> bool:
        return self.is_of_driver and is_running(self._order.driver, self._order.started)

    def _finish(self, store: database.Store, memory: Memory) -> None:
        if rest := self._reader.size() - self._reader.position:
            logger.warning("the last %d bytes of the journal are no whole frame: their events are lost", rest)
        if not self._has_ended:
            changes = Changes()
            changes.update("workflow", (), {"state": "crashed"})
            store.write(changes, self._reader.position, memory)
        logger.debug("all is written")


def _be_nice() -> None:
    """Let the run go first, also where the kernel groups processes by session."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICENESS), encoding="ascii")


def _writers(folder: Path, order: Order) -> list[Writer]:
    """Return the writers of the journals in *folder*, the oldest first, until that of the driver of *order*."""
    found: list[Writer] = []
    for path in journals(folder):
        try:
            found.append(Writer(path, order))
        except journal.JournalError:
            logger.exception("a journal is left as it is")
        if found and found[-1].is_of_driver:
            return found
    return [] if order.journal else found  # another writer has written the driver's own, and those before it


def _write_all(folder: Path, order: Order) -> bool:
    """Write what lies in *folder*, and return whether all of it could be read."""
    is_whole = True
    for writer in _writers(folder, order):
        try:
            writer.run()
        except journal.JournalError:
            logger.exception("the rest of a journal is left in it")
            is_whole = False
        finally:
            writer.close()
    return is_whole


def main() -> int:
    """Write the run whose folder is the argument; a second one is the URL, for a journal that was left behind."""
    folder = Path(sys.argv[1])
    if sys.argv[2:]:
        order = Order(url=expanded(sys.argv[2]), driver=0, started="by hand", is_urgent=True)
    else:
        order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    logging.basicConfig(
        filename=folder / LOG,
        level=logging.DEBUG if order.debug else logging.INFO,
        format="%(asctime)s %(process)d %(levelname)s %(message)s",
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with (folder / LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return 0 if _write_all(folder, order) else 1
        except Exception:
            logger.exception("the writer ends; what is left stays in the journal")
            return 1


if __name__ == "__main__":
    sys.exit(main())
