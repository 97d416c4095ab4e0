"""Writes a checkpoint: one SQLite file that results are appended to, ``runinfo/NNN/checkpoint/tasks.sqlite``.

    tasks.sqlite.PID.new ──rename──> tasks.sqlite + its write-ahead log ──close()──> tasks.sqlite alone

Entries survive when the process is killed at any moment after `CheckpointStore.append` has returned: the commit is in
the write-ahead log, in the system's page cache by then (``synchronous=NORMAL``; a failure of the whole machine may lose
the last moments, https://sqlite.org/pragma.html#pragma_synchronous). A file under the final name is whole from its
first moment, since it is made under another name.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import BadCheckpoint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cnflow.model.provenance import Origin

APPLICATION_ID = 0x636E666C
""""cnfl", in the file's header (https://sqlite.org/fileformat.html#application_id)."""

LAYOUT = 1
"""Version of the tables, in the header as ``user_version``; raised when they change."""

# The index holds keys and times, all that loading needs, so that values are not read then.
_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
CREATE TABLE entries (key BLOB NOT NULL, value BLOB NOT NULL, app TEXT NOT NULL, time REAL NOT NULL);
CREATE INDEX entries_by_key ON entries (key, time);
"""

# Apart from the entries, so that each version of cnflow reads these. A run has few places, and many results of each.
_ORIGINS = """
CREATE TABLE IF NOT EXISTS places (id INTEGER PRIMARY KEY, place TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS origins (
    key BLOB NOT NULL, time REAL NOT NULL, place INTEGER NOT NULL, started REAL, ended REAL, attempts INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS origins_by_key ON origins (key, time);
"""
_PATIENCE = 30.0
"""Seconds that a write waits for another process that has locked the file, as a backup may."""


class Entry(NamedTuple):
    """A cached result."""

    key: bytes
    value: bytes
    """Pickle of the result."""

    app: str
    """Name of the app, for the reader of the file."""

    time: float
    """Unix time of the end of the task; of two entries with one key the later counts."""

    origin: Origin | None = None
    """Where and when the task ran, where that is known."""


class CheckpointStore:
    """Appends entries to the file at *path*, which is made with its folder where it does not exist. Thread-safe.

    Raises:
        BadCheckpoint: the file is of another kind, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            if not path.exists():
                _make(path)
            self._connection = _open(path)
        except (sqlite3.Error, OSError) as error:
            raise BadCheckpoint(str(path), f"it cannot be written: {error}") from error

    def append(self, entries: Iterable[Entry]) -> None:
        """Write *entries* in one transaction.

        Raises:
            sqlite3.Error: none of them was written.
        """
        entries = list(entries)
        with self._lock, self._connection:
            self._connection.executemany("INSERT INTO entries VALUES (?, ?, ?, ?)", (entry[:4] for entry in entries))
            self._append_origins([(entry, entry.origin) for entry in entries if entry.origin is not None])

    def _append_origins(self, entries: list[tuple[Entry, Origin]]) -> None:
        if not entries:
            return
        texts = {origin.place: json.dumps(origin.place._asdict()) for _, origin in entries}
        self._connection.executemany(
            "INSERT OR IGNORE INTO places (place) VALUES (?)", ((text,) for text in texts.values())
        )
        rows = ((entry.key, entry.time, texts[origin.place], *origin[1:]) for entry, origin in entries)
        self._connection.executemany(
            "INSERT INTO origins VALUES (?, ?, (SELECT id FROM places WHERE place = ?), ?, ?, ?)", rows
        )

    def close(self) -> None:
        """Close the file without a log, so that it can be read in a read-only folder. Closing again does nothing."""
        with self._lock:
            with contextlib.suppress(
                sqlite3.Error
            ):  # another process reads it: the log stays, and is read with the file
                self._connection.execute("PRAGMA busy_timeout = 0")
                self._connection.execute("PRAGMA journal_mode = DELETE")
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    try:
        _refuse_foreign(connection)
        # On a file system without shared memory SQLite keeps a rollback journal, as safe and slower.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_ORIGINS)
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
    unfinished.unlink(missing_ok=True)  # left by a killed process that had the same id
    with contextlib.closing(sqlite3.connect(unfinished)) as connection:
        connection.executescript(_SCHEMA + _ORIGINS)
    unfinished.replace(path)
