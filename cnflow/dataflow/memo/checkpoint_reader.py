"""Reads checkpoints of earlier runs. Keys are held in memory, values stay in the files until they are looked up."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cnflow.dataflow.memo.checkpoint_paths import FILE, FOLDERS
from cnflow.dataflow.memo.store import APPLICATION_ID, LAYOUT
from cnflow.errors import BadCheckpoint
from cnflow.model.provenance import Origin, Place

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

_OPEN_FILES = 8
"""Connections that stay open; each takes up to three file descriptors, and there may be many runs."""

_ORIGIN_QUERY = """
SELECT places.place, started, ended, attempts FROM origins JOIN places ON places.id = origins.place
WHERE key = ? ORDER BY time DESC, origins.rowid DESC LIMIT 1
"""

_SQLITE = b"SQLite format 3\x00"  # https://sqlite.org/fileformat.html#the_database_header
_HEADER = 100


class CheckpointReader:
    """Looks up keys in all checkpoints at *paths*; of two entries for one key the later counts. Safe from any thread.

    Args:
        paths: each a checkpoint file, the folder that holds it, or the folder of a run. The checkpoint folder of a run
            that had nothing to write need not exist.

    Raises:
        BadCheckpoint: one of them does not exist, is no checkpoint, or is damaged; the message names it, and no file is
            left open.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]]) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, sqlite3.Connection] = {}
        self._files = [_file_at(Path(path)) for path in paths if not _is_unwritten(Path(path))]
        self._places: dict[bytes, tuple[float, int]] = {}
        try:
            for number, file in enumerate(self._files):
                self._index(number, file)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def find(self, key: bytes) -> bytes | None:
        """Pickled value of the latest entry for *key*; None if there is none or it is unreadable (logged)."""
        if key not in self._places:
            return None
        _, number = self._places[key]
        try:
            with self._lock:
                connection = self._connection(number)
                row = connection.execute(
                    "SELECT value FROM entries WHERE key = ? ORDER BY time DESC, rowid DESC LIMIT 1", (key,)
                ).fetchone()
        except (sqlite3.Error, BadCheckpoint) as error:
            logger.warning("A result in %s cannot be read, its task is run again: %s", self._files[number], error)
            return None
        return row[0] if row else None

    def origin_of(self, key: bytes) -> Origin | None:
        """Where and when the latest entry for *key* was made; None if that is not known."""
        if key not in self._places:
            return None
        _, number = self._places[key]
        try:
            with self._lock:
                row = self._connection(number).execute(_ORIGIN_QUERY, (key,)).fetchone()
            return None if row is None else origin_from(*row)
        except (sqlite3.Error, BadCheckpoint, ValueError, TypeError) as error:  # as of a file of cnflow 0.1
            logger.debug("The origin of a result in %s cannot be read: %s", self._files[number], error)
            return None

    def close(self) -> None:
        """Close the files; `find` returns None from now on."""
        with self._lock:
            self._places = {}
            for connection in self._open.values():
                connection.close()
            self._open = {}

    def _index(self, number: int, file: Path) -> None:
        _check_header(file)
        try:
            for key, time in self._connection(number).execute("SELECT key, max(time) FROM entries GROUP BY key"):
                if key not in self._places or self._places[key][0] <= time:
                    self._places[key] = (time, number)
        except sqlite3.DatabaseError as error:
            raise BadCheckpoint(str(file), f"it is damaged: {error}") from error

    def _connection(self, number: int) -> sqlite3.Connection:
        connection = self._open.pop(number, None) or _open_read_only(self._files[number])
        self._open[number] = connection  # at the end: the first is the one not used for longest
        while len(self._open) > _OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        return connection


def origin_from(place: str, started: float | None, ended: float | None, attempts: int) -> Origin:
    """Return the origin of a row; *place* is JSON. A field that this version does not know is left out.

    Raises:
        ValueError, TypeError: the row is malformed.
    """
    fields = {name: str(value) for name, value in json.loads(place).items() if name in Place._fields}
    return Origin(Place(**fields), started, ended, attempts)


def _is_unwritten(path: Path) -> bool:
    """Return whether *path* is the checkpoint folder of an existing run that had nothing to write."""
    of_a_run = path.name in FOLDERS and path.parent.name.isdecimal() and path.parent.is_dir()
    if not of_a_run or path.exists():
        return False
    logger.info("The run %s wrote no checkpoint; it adds no results.", path.parent)
    return True


def _file_at(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise BadCheckpoint(str(path), "it does not exist")
    for file in (path / FILE, *(path / folder / FILE for folder in FOLDERS)):
        if file.is_file():
            return file
    if (path / "tasks.pkl").exists():
        raise BadCheckpoint(str(path / "tasks.pkl"), "it was written by Parsl, whose checkpoints are not read")
    raise BadCheckpoint(str(path), f"there is no {FILE} in it")


def _check_header(file: Path) -> None:
    """Refuse files that SQLite would open as an empty or a whole database although they are neither.

    Raises:
        BadCheckpoint: *file* is empty, of another format, or shorter than its header states.
    """
    with file.open("rb") as opened:
        header = opened.read(_HEADER)
    size = file.stat().st_size
    if not size:
        raise BadCheckpoint(str(file), "it is empty")
    if not header.startswith(_SQLITE):
        what = "a pickle, perhaps of Parsl, whose checkpoints are not read" if header[:1] == b"\x80" else "no database"
        raise BadCheckpoint(str(file), f"it is {what}; it begins with {header[:16]!r}")
    if len(header) < _HEADER:
        raise BadCheckpoint(str(file), f"it ends after {size} bytes, within its header")
    # A writer that was killed may have left pages in its log; SQLite puts the two together.
    pages, page = int.from_bytes(header[28:32], "big"), int.from_bytes(header[16:18], "big")
    whole = pages * (65536 if page == 1 else page)
    if size < whole and not _has_log(file):
        raise BadCheckpoint(str(file), f"it is torn: {size} bytes of {whole} are there")


def _has_log(file: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(file.with_name(file.name + end).stat().st_size for end in ("-wal",))
    return False


def _open_read_only(file: Path) -> sqlite3.Connection:
    """Open *file* for reading.

    Raises:
        BadCheckpoint: it is no checkpoint of cnflow, has another layout, or cannot be read.
    """
    try:
        return _connect(file, "mode=ro")
    except sqlite3.OperationalError as error:
        # SQLite has to write beside a file that has a log. Without a log, `immutable` makes it read only.
        if _has_log(file):
            raise BadCheckpoint(
                str(file), f"it was not closed and its folder cannot be written to complete it: {error}"
            ) from error
    try:
        return _connect(file, "mode=ro&immutable=1")
    except sqlite3.DatabaseError as error:
        raise BadCheckpoint(str(file), f"it cannot be read: {error}") from error


def _connect(file: Path, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?{options}", uri=True, check_same_thread=False)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        raise
    except sqlite3.DatabaseError as error:
        connection.close()
        raise BadCheckpoint(str(file), f"it is damaged: {error}") from error
    if (application, layout) != (APPLICATION_ID, LAYOUT):
        connection.close()
        found = f"layout {layout}, not {LAYOUT}" if application == APPLICATION_ID else "a database of another program"
        raise BadCheckpoint(str(file), f"it is {found}")
    return connection
