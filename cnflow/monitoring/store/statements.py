"""SQL that writes many rows of one table at once: text by dialect, and values as the dialect takes them. No I/O.

::

    SQLite:      one statement, a tuple of values a row (`executemany`)
    PostgreSQL:  one statement, one JSON text of all rows (`json_to_recordset`), thus one round trip
"""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import BigInteger, Boolean, DateTime, Float, Integer, LargeBinary

from cnflow.monitoring.store import schema
from cnflow.monitoring.store.changes import ADDED, FINAL, FIRST_ONLY, HIGHEST, STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Column, Table

    from cnflow.monitoring.store.changes import Key, Row

_TYPES = (
    (BigInteger, "bigint"),
    (Boolean, "boolean"),
    (Integer, "integer"),
    (Float, "double precision"),
    (DateTime, "timestamp"),
    (LargeBinary, "bytea"),
)

_LATEST = 253402300799.0
"""End of the year 9999: the last that a clock may say."""


_DEFAULTS: Mapping[type, object] = {Boolean: False, Integer: 0, BigInteger: 0, Float: 0.0, DateTime: 0.0}
"""Values that stand in columns which must have one, until it is known; of others, an empty text."""

_MICROSECONDS = 1_000_000
_SECONDS_KEPT = 100_000


class Statement(msgspec.Struct, frozen=True):
    """One statement, and what its values are: those of the key, of the columns that change, and defaults."""

    sql: str
    columns: tuple[str, ...]
    changed: tuple[str, ...]
    defaults: tuple[object, ...]
    """After those of the changed columns."""

    is_key_first: bool
    times: tuple[int, ...]
    """Positions of the columns that are times."""


def table_named(name: str) -> Table:
    """Return the table *name* of the schema."""
    return schema.metadata.tables[name]


def key_columns(table: Table) -> tuple[str, ...]:
    """Return the columns of the key, after `run_id`."""
    return tuple(column.name for column in table.primary_key.columns if column.name != "run_id")


@lru_cache(maxsize=512)
def upsert(name: str, changed: frozenset[str], dialect: str) -> Statement:
    """Return what makes rows of the table *name*, or changes these columns of those that are there."""
    table = table_named(name)
    keys = ("run_id", *key_columns(table))
    needed = [column.name for column in table.columns if not column.nullable and column.name not in {*keys, *changed}]
    values = tuple(sorted(changed))
    columns = (*keys, *values, *needed)
    assigned = [_assignment(name, column, dialect) for column in sorted(changed - FIRST_ONLY.get(name, frozenset()))]
    listed = ", ".join(map(_quoted, columns))
    action = f"DO UPDATE SET {', '.join(assigned)}" if assigned else "DO NOTHING"
    source = _source(table, columns, dialect)
    conflict = ", ".join(map(_quoted, keys))
    sql = f"INSERT INTO {_quoted(name)} ({listed}) {source} ON CONFLICT ({conflict}) {action}"
    defaults = tuple(_DEFAULTS.get(type(table.c[column].type), "") for column in needed)
    return Statement(sql, columns, values, defaults, True, _times(table, columns))


@lru_cache(maxsize=512)
def update(name: str, changed: frozenset[str], dialect: str) -> Statement:
    """Return what changes these columns of rows that are there."""
    table = table_named(name)
    keys = ("run_id", *key_columns(table))
    values = tuple(sorted(changed))
    columns = (*values, *keys)
    if dialect == "sqlite":
        assigned = ", ".join(f"{_quoted(column)} = {_update_of(name, column, '?', dialect)}" for column in values)
        where = " AND ".join(f"{_quoted(column)} = ?" for column in keys)
        sql = f"UPDATE {_quoted(name)} SET {assigned} WHERE {where}"
    else:
        news = {column: _update_of(name, column, f"r.{_quoted(column)}", dialect) for column in values}
        assigned = ", ".join(f"{_quoted(column)} = {new}" for column, new in news.items())
        where = " AND ".join(f"{_quoted(name)}.{_quoted(column)} = r.{_quoted(column)}" for column in keys)
        sql = f"UPDATE {_quoted(name)} SET {assigned} FROM {_records(table, columns)} WHERE {where}"
    return Statement(sql, columns, values, (), False, _times(table, columns))


def _times(table: Table, columns: Sequence[str]) -> tuple[int, ...]:
    return tuple(n for n, column in enumerate(columns) if isinstance(table.c[column].type, DateTime))


def _update_of(table: str, column: str, new: str, dialect: str) -> str:
    old = f"{_quoted(table)}.{_quoted(column)}"
    if column == STATES.get(table):
        final = ", ".join(f"'{state}'" for state in sorted(FINAL))
        return f"CASE WHEN {old} IN ({final}) THEN {old} ELSE {new} END"
    if column not in HIGHEST.get(table, ()):
        return new
    highest = "max" if dialect == "sqlite" else "greatest"
    return f"{highest}(coalesce({old}, 0), {new})"


def _assignment(table: str, column: str, dialect: str) -> str:
    target, new = _quoted(column), f"excluded.{_quoted(column)}"
    if column in ADDED.get(table, ()):
        return f"{target} = {_quoted(table)}.{target} + {new}"
    return f"{target} = {_update_of(table, column, new, dialect)}"


def _source(table: Table, columns: Sequence[str], dialect: str) -> str:
    if dialect == "sqlite":
        return f"VALUES ({', '.join('?' * len(columns))})"
    # WHERE: else the parser takes ON CONFLICT for a join's ON
    return (
        f"SELECT {', '.join(f'r.{_quoted(column)}' for column in columns)} FROM {_records(table, columns)} WHERE true"
    )


def _records(table: Table, columns: Sequence[str]) -> str:
    typed = ", ".join(f"{_quoted(column)} {_type_of(table.c[column])}" for column in columns)
    return f"json_to_recordset(%s::json) AS r({typed})"


def _type_of(column: Column[object]) -> str:
    return next((name for kind, name in _TYPES if isinstance(column.type, kind)), "text")


def _quoted(name: str) -> str:
    return f'"{name}"'


class Clock:
    """Writes times as SQLite keeps them and PostgreSQL reads them: ``2026-11-26 21:00:00.123456``, UTC."""

    def __init__(self) -> None:
        self._seconds: dict[int, str] = {}

    def text_of(self, moment: float) -> str:
        """Return *moment* as text; one that no calendar has is the nearest that one has."""
        if not 0.0 <= moment <= _LATEST:
            moment = _LATEST if moment > _LATEST else 0.0
        whole = int(moment)
        micro = round((moment - whole) * _MICROSECONDS)
        if micro == _MICROSECONDS:
            whole, micro = whole + 1, 0
        prefix = self._seconds.get(whole)
        if prefix is None:
            if len(self._seconds) > _SECONDS_KEPT:
                self._seconds.clear()
            prefix = self._seconds[whole] = time.strftime("%Y-%m-%d %H:%M:%S.", time.gmtime(whole))
        return f"{prefix}{micro:06d}"


def groups(rows: Mapping[Key, Row]) -> dict[frozenset[str], list[tuple[Key, Row]]]:
    """Return *rows* by the columns that they have."""
    grouped: dict[tuple[str, ...], list[tuple[Key, Row]]] = {}
    for item in rows.items():
        grouped.setdefault(tuple(item[1]), []).append(item)
    merged: dict[frozenset[str], list[tuple[Key, Row]]] = {}
    for names, items in grouped.items():
        merged.setdefault(frozenset(names), []).extend(items)
    return merged


def values_of(
    statement: Statement, run: str, items: Iterable[tuple[Key, Row]], clock: Clock
) -> Iterator[tuple[object, ...]]:
    """Return the values of rows of *run*, in the order of the statement's columns."""
    changed, defaults, times, text_of = statement.changed, statement.defaults, statement.times, clock.text_of
    is_key_first = statement.is_key_first
    for key, row in items:
        new = [row[name] for name in changed]
        values = [run, *key, *new, *defaults] if is_key_first else [*new, run, *key]
        for n in times:
            moment = values[n]
            if moment is not None:
                values[n] = text_of(moment)  # type: ignore[arg-type]  # a float, in a column of times
        yield tuple(values)


def as_json(statement: Statement, values: Iterable[tuple[object, ...]]) -> str:
    """Return rows as one JSON text, without NUL, which PostgreSQL's texts cannot hold."""
    rows = [dict(zip(statement.columns, row, strict=True)) for row in values]
    text = msgspec.json.encode(rows)
    if b"\\u0000" in text:
        text = msgspec.json.encode([{name: _without_nul(value) for name, value in row.items()} for row in rows])
    return text.decode()


def _without_nul(value: object) -> object:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
