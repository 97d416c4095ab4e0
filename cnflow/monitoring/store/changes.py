"""Rows that one transaction writes: merged by key, so that each row is written once however often it changed. No I/O.

::

    put:    the row is made, or these of its columns change
    update: these columns change, if the row is there
    add:    numbers are added to those of the row, which is made where there is none
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Key = tuple[object, ...]
"""Primary key without its `run_id`."""

Row = dict[str, object]

FINAL = frozenset({"done", "failed", "dependency_failed", "cancelled"})
"""States of a task, or a try, that no later one replaces."""

STATES: Mapping[str, str] = {"task": "task_state", "try": "state"}
"""Columns, by table, of these states: a thread may report that a task begins after another has cancelled it."""

FIRST_ONLY: Mapping[str, frozenset[str]] = {
    "workflow": frozenset({"time_began"}),  # of a run that is taken over
    "error_group": frozenset({"error_type", "task_func_name", "message", "first_task", "first_time"}),
    "model_version": frozenset({"time_first"}),
}
"""Columns, by table, that keep their first value."""

HIGHEST: Mapping[str, frozenset[str]] = {"try": frozenset({"peak_rss_bytes", "gpu_peak_bytes"})}
"""Columns, by table, that keep their highest value."""

ADDED: Mapping[str, frozenset[str]] = {
    "workflow": frozenset(
        {
            "tasks_count",
            "tasks_failed_count",
            "tasks_completed_count",
            "tasks_cancelled_count",
            "samples_dropped_count",
        }
    ),
    "node": frozenset({"tasks_count", "busy_seconds"}),
    "image": frozenset({"tasks_count"}),
    "error_group": frozenset({"count"}),
    "model_version": frozenset(
        {
            "requests_count",
            "refused_count",
            "errors_count",
            "rows_count",
            "batches_count",
            "copies_count",
            "copy_errors_count",
            "pieces_count",
            "attempts_count",
        }
    ),
    "model_histogram": frozenset({"count"}),
    "model_progress": frozenset({"requests", "refused", "errors", "rows", "batches"}),
    "progress": frozenset({"submitted", "launched", "done", "failed", "cancelled", "run_seconds"}),
}
"""Columns, by table, of numbers that are added up."""


class Changes:
    """Rows by table and key."""

    def __init__(self) -> None:
        self.rows: defaultdict[str, dict[Key, Row]] = defaultdict(dict)
        self.updates: defaultdict[str, dict[Key, Row]] = defaultdict(dict)
        """Of rows that may not be there."""

    def singly(self) -> Iterator[Changes]:
        """Return changes of one row each."""
        for of_kind in ("rows", "updates"):
            for table, rows in getattr(self, of_kind).items():
                for key, row in rows.items():
                    one = Changes()
                    getattr(one, of_kind)[table][key] = row
                    yield one

    def __repr__(self) -> str:
        return f"Changes(rows={dict(self.rows)!r}, updates={dict(self.updates)!r})"

    def put(self, table: str, key: Key, values: Row) -> None:
        """Make a row, or change it; the dict *values* is kept."""
        rows = self.rows[table]
        row = rows.get(key)
        if row is None:
            before = self._updated(table, key)
            _keep_final(table, before, values)
            rows[key] = {**before, **values} if before else values
            return
        _keep_final(table, row, values)
        if table in FIRST_ONLY:
            values = {name: each for name, each in values.items() if name not in FIRST_ONLY[table] or name not in row}
        row.update(values)

    def put_task(self, task: int, values: Row) -> None:
        """Change a row of the table `task`, whose final state stays."""
        rows = self.rows["task"]
        row = rows.get((task,))
        if row is None:
            rows[task,] = values
            return
        if row.get("task_state") in FINAL and values.get("task_state") not in FINAL:
            values.pop("task_state", None)
        row.update(values)

    def update(self, table: str, key: Key, values: Row) -> None:
        """Change a row if it is there."""
        row = self.rows[table].get(key)
        if row is None:
            row = self.updates[table].setdefault(key, {})
        _keep_final(table, row, values)
        for name in HIGHEST.get(table, ()):
            if name in row and name in values:
                values[name] = max(row[name], values[name])  # type: ignore[call-overload]  # both are numbers
        row.update(values)

    def add(self, table: str, key: Key, counts: Mapping[str, float]) -> None:
        """Add *counts* to a row."""
        rows = self.rows[table]
        row = rows.get(key)
        if row is None:
            row = rows[key] = self._updated(table, key)
        for name, count in counts.items():
            row[name] = row.get(name, 0) + count  # type: ignore[operator]  # numbers, as `ADDED` says

    def _updated(self, table: str, key: Key) -> Row:
        """Remove and return the update of a row that is made now: rows are written first, it would come too late."""
        return self.updates[table].pop(key, None) or {}


def _keep_final(table: str, row: Row, values: Row) -> None:
    """Remove a state from *values* where *row* has a final one."""
    name = STATES.get(table)
    if name is not None and row.get(name) in FINAL:
        values.pop(name, None)
