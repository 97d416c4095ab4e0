"""Opens the database of monitoring to write it: makes its tables, and commits rows with the position in the journal.

::

    open_database(URL) ──> no tables: made ──> an older schema: migrated ──> Store
                             └ another program's, or a newer schema: ConfigurationError
    Store.write(changes, position) ──> one transaction: all of it is there, or nothing
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.monitoring.store import memory, schema, statements
from cnflow.monitoring.store.migrate import migrate
from cnflow.text import mask_url

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

    from cnflow.monitoring.store.changes import Changes, Key, Row
    from cnflow.monitoring.store.memory import Memory

logger = logging.getLogger(__name__)

_OF_VALUES = frozenset({"22", "23", "42", "54"})
"""Classes of PostgreSQL's error codes: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

BUSY_TIMEOUT = 10.0
"""Seconds that a transaction waits for another writer of the file; then it is tried anew."""


def parse_url(url: str) -> URL:
    """Return *url* with a driver: pg8000, where it names PostgreSQL and none.

    Raises:
        ConfigurationError: it is no URL of a database that monitoring can write.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # the port is no number
        raise ConfigurationError(
            f"{mask_url(url)!r} is no URL of a database. Write sqlite:///FILE, or postgresql://USER:PASSWORD@HOST/NAME."
        ) from error
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+pg8000")
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigurationError(f"Monitoring writes SQLite and PostgreSQL, not {parsed.get_backend_name()!r}.")
    return parsed


def open_engine(url: str) -> Engine:
    """Return an engine for *url*, whose connections are closed after use.

    Raises:
        ConfigurationError: as `parse_url`.
        MissingExtraError: its driver is not installed.
    """
    parsed = parse_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    try:
        engine = create_engine(
            parsed, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT} if is_file else {"timeout": 10}
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError("Monitoring in PostgreSQL", "postgres") from error
    if is_file:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # else the driver begins transactions of its own, which may deadlock
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536", "temp_store=MEMORY"):
        with contextlib.suppress(sqlite3.OperationalError):  # locked now: set by the next connection
            connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def prepare(url: str) -> None:
    """Make the tables of a database, or migrate those of an older schema.

    Raises:
        ConfigurationError: it cannot be reached or written, or is no database of monitoring, or a newer one.
    """
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        _make_private(engine.url.database or "")
    try:
        migrate(engine)
    except SQLAlchemyError as error:
        raise unusable(url, error) from error
    finally:
        engine.dispose()


def _make_private(file: str) -> None:
    """Make *file*, if it is not there, so that the user alone reads what it tells of tasks, as the folder of a run."""
    with contextlib.suppress(OSError):  # no such folder, or no right to write: said when it is opened
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def unusable(url: str, error: BaseException) -> ConfigurationError:
    """Return the error of a database that cannot be used."""
    why = mask_url(str(getattr(error, "orig", None) or error).partition("\n")[0])
    return ConfigurationError(
        f"Monitoring cannot use the database {mask_url(url)!r}: {why}. Set MonitoringHub(logging_endpoint=...) to one "
        "that exists and can be written."
    )


def refuses_values(error: Exception) -> bool:
    """Return True if the database refuses certain values; False if it cannot write now, as on a full disk."""
    if not isinstance(error, DBAPIError):
        return True  # its driver cannot take a value
    if isinstance(error.orig, sqlite3.Error):
        return isinstance(error, (DataError, IntegrityError, InterfaceError, ProgrammingError))
    fields = error.orig.args[0] if error.orig is not None and error.orig.args else None
    return isinstance(fields, dict) and str(fields.get("C"))[:2] in _OF_VALUES


class Store:
    """Writes one run into the database.

    Args:
        url: of the database, which `prepare` has made.
        run: id.

    Raises:
        SQLAlchemyError: it cannot be reached.
    """

    def __init__(self, url: str, run: str) -> None:
        self._engine = open_engine(url)
        self._run = run
        self._dialect = self._engine.dialect.name
        self._clock = statements.Clock()
        self._path = Path(self._engine.url.database or "") if self._dialect == "sqlite" else None
        self._connection = self._engine.connect()
        self._identity = self._current_identity()

    def is_replaced(self) -> bool:
        """Return whether the file is gone, or another one: what is written then is lost."""
        return self._identity != self._current_identity()

    def position(self) -> tuple[int, Memory]:
        """Return the position in the journal before which all is in the database, and what to remember; 0 at first."""
        table = schema.journal_position
        with self._connection.begin():
            row = self._connection.execute(
                select(table.c.position, table.c.state).where(table.c.run_id == self._run)
            ).one_or_none()
        return (0, memory.decode(None)) if row is None else (row[0], memory.decode(row[1]))

    def has_ended(self) -> bool:
        """Return whether the last event of the run is in the database."""
        with self._connection.begin():
            state = self._connection.scalar(
                select(schema.workflow.c.state).where(schema.workflow.c.run_id == self._run)
            )
        return state not in {None, "running"}

    def write(self, changes: Changes, position: int, remembered: Memory) -> None:
        """Commit *changes* with the *position* in the journal that they lead to.

        Raises:
            SQLAlchemyError: nothing of it is in the database.
        """
        with self._connection.begin():
            self._write(changes)
            self._write_position(position, remembered)

    def write_most(self, changes: Changes, position: int, remembered: Memory) -> int:
        """Commit *changes* without the rows that the database refuses; return how many these are.

        Raises:
            SQLAlchemyError: nothing of it is in the database.
        """
        refused = 0
        with self._connection.begin():
            for one in changes.singly():
                try:
                    with self._connection.begin_nested():
                        self._write(one)
                except (DBAPIError, OverflowError, ValueError) as error:
                    if not refuses_values(error):
                        raise
                    refused += 1
                    logger.error("a row cannot be written: %s: %s", error, one)  # noqa: TRY400 - one of many
            self._write_position(position, remembered)
        return refused

    def close(self) -> None:
        """Close the connection; all rows are in the file then, which can be copied without those beside it.

        SQLite sees to that where no reader is left. A dashboard is one, and cannot do it as the last.
        """
        with contextlib.suppress(SQLAlchemyError, sqlite3.Error):
            driver = self._connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        with contextlib.suppress(SQLAlchemyError):
            self._connection.close()
        self._engine.dispose()

    def _write(self, changes: Changes) -> None:
        for name, rows in changes.rows.items():
            self._write_rows(name, rows)
        for name, rows in changes.updates.items():
            self._update_rows(name, rows)

    def _write_position(self, position: int, remembered: Memory) -> None:
        table = schema.journal_position
        values = {"position": position, "state": memory.encode(remembered)}
        where = table.c.run_id == self._run
        if not self._connection.execute(table.update().where(where).values(values)).rowcount:
            self._connection.execute(table.insert().values(run_id=self._run, **values))

    def _current_identity(self) -> object:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _write_rows(self, name: str, rows: dict[Key, Row]) -> None:
        for changed, items in statements.groups(rows).items():
            self._execute(statements.upsert(name, changed, self._dialect), items)

    def _update_rows(self, name: str, rows: dict[Key, Row]) -> None:
        for changed, items in statements.groups(rows).items():
            if changed:
                self._execute(statements.update(name, changed, self._dialect), items)

    def _execute(self, statement: statements.Statement, items: list[tuple[Key, Row]]) -> None:
        values = statements.values_of(statement, self._run, items, self._clock)
        if self._dialect == "sqlite":
            self._connection.exec_driver_sql(statement.sql, list(values))
        else:
            self._connection.exec_driver_sql(statement.sql, (statements.as_json(statement, values),))
