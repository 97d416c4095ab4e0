"""A checkpoint: one SQLite file that results are appended to, at ``runinfo/NNN/checkpoint/tasks.sqlite``.

What `CheckpointStore.append` returned from is found again after the process was killed at any later moment: the commit
is in the write-ahead log, which belongs to the system's cache by then (``synchronous=NORMAL``; the failure of the whole
machine may take the last moments, https://sqlite.org/pragma.html#pragma_synchronous). A file under the final name is
whole from its first moment, since it is made under another.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import BadCheckpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

APPLICATION_ID = 0x636E666C
"""In the file's header, https://sqlite.org/fileformat.html#application_id: "cnfl"."""

LAYOUT = 1
"""Also in the header, as ``user_version``; raised when the tables change."""

# The index holds all that loading needs, so that values are not read then.
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
CREATE TABLE entries (key BLOB NOT NULL, value BLOB NOT NULL, app TEXT NOT NULL, time REAL NOT NULL);
CREATE INDEX entries_by_key ON entries (key, time);
"""
_PATIENCE = 30.0
"""Seconds that a write waits for another process that has the file locked, as a backup may."""


class Entry(NamedTuple):
    """A result that is remembered."""

    key: bytes
    value: bytes
    """Pickled."""

    app: str
    """Name of the app, for people who look into the file."""

    time: float
    """Unix time at which it was done; of two entries with one key the later counts."""


class CheckpointStore:
    """Appends entries to the file at *path*, which is made with its folder if need be. Safe from any thread.

    Raises:
        BadCheckpoint: there is another kind of file, or no place to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            if not path.exists():
                _make(path)
            self._connection = _opened(path)
        except (sqlite3.Error, OSError) as error:
            raise BadCheckpoint(str(path), f"it cannot be written: {error}") from error

    def append(self, entries: Iterable[Entry]) -> None:
        """Write *entries* in one transaction: all are safe when this returns.

        Raises:
            sqlite3.Error: none of them was written.
        """
        with self._lock, self._connection:
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", entries)

    def close(self) -> None:
        """Leave one plain file, which can be read from a read-only folder too. Closing again does nothing."""
        with self._lock:
            with contextlib.suppress(sqlite3.Error):  # somebody reads it: its log stays, and is read with it
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    try:
        _refuse_foreign(connection)
        # Where the file system has no shared memory SQLite stays with a rollback journal, as safe and slower.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_foreign(connection: sqlite3.Connection) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise sqlite3.DatabaseError("it is a database of another program")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)  # of a process that was killed and had the same id
    with contextlib.closing(sqlite3.connect(unfinished)) as connection:
        connection.executescript(_SCHEMA)
    unfinished.replace(path)
