"""Opens the database of monitoring to read it, and notices when it is gone, replaced or written to.

::

    Database(URL) ──connect()──> Connection, checked out of a pool; an error of the database is a ConfigurationError
         │ a file of SQLite: opened read-only, its identity compared with each question
         └ PostgreSQL: by pg8000, where the URL names no driver
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import create_engine, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.monitoring.store import schema
from cnflow.text import mask_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine

_BUSY_TIMEOUT = 5.0
"""Seconds that a question waits for a lock of SQLite; with its write-ahead log, readers wait for nobody."""


class Database:
    """Connections to one database; every method can be called from several threads at once.

    Args:
        url: of SQLAlchemy, or the path of a file of SQLite.

    Raises:
        ConfigurationError: there is none, or it is not one of monitoring.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        is_file = self._url.get_backend_name() == "sqlite"
        self.name = mask_url(url if is_file else self._url.render_as_string(hide_password=True))
        self.path = (
            Path(self._url.database) if self._url.get_backend_name() == "sqlite" and self._url.database else None
        )
        self._identity = self._current_identity()
        self._lock = threading.Lock()
        self._watch: sqlite3.Connection | None = None
        self._engine = self._open()
        self._check_tables()

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """Lend a connection.

        Raises:
            ConfigurationError: the database is gone, or does not answer.
        """
        self._follow_file()
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._failure(error) from error
        except OverflowError as error:
            raise ConfigurationError("There is nothing of such a large number.") from error

    def change(self) -> object:
        """Return a value that differs once the database was written to."""
        self._follow_file()
        if self.path is None:
            position = schema.journal_position.c
            with self.connect() as connection:
                return tuple(connection.execute(select(func.sum(position.position), func.count())).one())
        try:
            with self._lock:
                if self._watch is None:
                    self._watch = self._connect_file()
                version = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return (self._identity, version)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self._engine.dispose()

    def _open(self) -> Engine:
        if self.path is not None:
            return create_engine("sqlite://", creator=self._connect_file, poolclass=QueuePool)
        try:
            return create_engine(self._url, pool_pre_ping=True)
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"The database {self.name}", "postgres") from error

    def _connect_file(self) -> sqlite3.Connection:
        """Open the file read-only: a question never writes, and creates nothing where nothing is."""
        place = quote(str(self.path))
        connection = sqlite3.connect(
            f"file:{place}?mode=ro", uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False, isolation_level=None
        )
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # A write-ahead log needs files beside the database, which cannot be made in a folder that is read-only;
            # then nobody writes it either.
            connection.close()
            connection = sqlite3.connect(
                f"file:{place}?mode=ro&immutable=1", uri=True, check_same_thread=False, isolation_level=None
            )
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA cache_size = -65536")
        connection.execute("PRAGMA mmap_size = 1073741824")
        return connection

    def _current_identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except OSError as error:
            reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
            raise ConfigurationError(
                f"The database {self.path} {reason}. A run writes it with Config(monitoring=True); its path is "
                "that of the folder of runs, such as runinfo/monitoring.db."
            ) from error
        return found.st_dev, found.st_ino

    def _follow_file(self) -> None:
        """Open the file anew where another has taken its place; open connections would go on with the old one."""
        if self.path is None:
            return
        identity = self._current_identity()
        if identity == self._identity:
            return
        self.close()
        with self._lock:
            self._identity, self._engine = identity, self._open()
        self._check_tables()

    def _check_tables(self) -> None:
        with self.connect() as connection:
            found = set(inspect(connection).get_table_names())
            if not found >= {"workflow", "task", "status"}:
                raise ConfigurationError(
                    f"The database {self.name} is not one of monitoring: it has the tables "
                    f"{', '.join(sorted(found)[:8]) or '(none)'}."
                )
            missing = set(schema.metadata.tables) - found
            columns = {each["name"] for each in inspect(connection).get_columns("task")}
            if missing or not columns >= set(schema.task.c.keys()):
                version = _schema_version(connection) if "alembic_version" in found else "none"
                raise ConfigurationError(
                    f"The database {self.name} has another schema (version {version}): Parsl's, or that of another "
                    "version of cnflow. A run with Config(monitoring=True) brings an older one of cnflow up to date."
                )

    def _failure(self, error: Exception) -> ConfigurationError:
        words = str(getattr(error, "orig", None) or error).partition("\n")[0]
        return ConfigurationError(f"The database {self.name} cannot be read: {words}")


def _schema_version(connection: Connection) -> str:
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


def _parse(url: str) -> URL:
    if "://" not in url:
        url = f"sqlite:///{Path(url).absolute()}"
    try:
        parsed = make_url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+pg8000")
        parsed.get_dialect()
    except ModuleNotFoundError:  # said by `Database`, with what to install
        return parsed
    except (ArgumentError, ValueError) as error:  # no URL, a port that is no number, or a kind that nobody knows
        scheme = url.partition("://")[0]
        raise ConfigurationError(
            f"The URL of the database ({scheme}://...) is none that can be read, such as sqlite:///F.db, or "
            "postgresql://HOST:5432/NAME; a password in it has %2F for each /, and %40 for each @."
        ) from error
    return parsed
