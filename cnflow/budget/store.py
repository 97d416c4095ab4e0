"""The file of a run's spending: ``RUN_DIR/spending.json``, written anew at most once a second, read by other runs.

::

    RUN_DIR/007/spending.json   written by its driver ──killed──> read by the driver that takes the run over
    RUN_DIR/008/spending.json   ── read by other runs of the same day, which count it

A block that a killed driver has left costs until `Entry.lasts` after the last writing, at most.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, NamedTuple

from cnflow.budget.amounts import NOTHING, Amounts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

FILE = "spending.json"
_STALE_AFTER = 60.0
"""Seconds without a writing after which a driver is taken for dead; a living one writes more often."""


class Entry(NamedTuple):
    """A block that is paid, as it is written."""

    key: str
    since: float
    """Seconds since 1970."""

    per_second: Amounts
    reserve: float
    """Seconds that it costs after the order to end."""

    lasts: float = 0.0
    """Seconds for which it may outlive its driver."""


class Record(NamedTuple):
    """Content of the file."""

    day: str
    """Day that `settled` is of, such as ``2026-11-26``; of a budget per run, that of its start."""

    settled: Amounts
    written_at: float
    open: Sequence[Entry] = ()
    is_over: bool = False
    """The run has ended, and has ended its blocks."""


def write(folder: Path, record: Record) -> None:
    """Replace the file of the run in *folder*.

    Raises:
        OSError: it cannot be written.
    """
    path, temporary = folder / FILE, folder / f"{FILE}.new"
    fields = record._asdict() | {"open": [entry._asdict() for entry in record.open]}
    temporary.write_text(json.dumps(fields))
    os.replace(temporary, path)  # noqa: PTH105 - atomic on every system, as documented for it


def read(folder: Path) -> Record | None:
    """Return what the run in *folder* has written; None if it has no such file, or not a whole one."""
    path = folder / FILE
    try:
        fields = json.loads(path.read_text())
        entries = [Entry(**{**each, "per_second": Amounts(*each["per_second"])}) for each in fields.pop("open")]
        return Record(**{**fields, "settled": Amounts(*fields["settled"]), "open": entries})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("the spending in %s cannot be read, and is not counted: %s", path, error)
        return None


class Siblings:
    """Records of the other runs beside one. A file that nobody writes any more is read once.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[tuple[int, int], Record | None]] = {}

    def records(self, now: float) -> Sequence[Record]:
        """Return the records of all that have spent something; *now* is in seconds since 1970."""
        known, self._known = self._known, {}
        for path in self._folder.parent.glob(f"*/{FILE}"):
            if path.parent == self._folder:
                continue
            try:
                status = path.stat()
            except OSError:  # its run was removed just now
                continue
            mark, before = (status.st_ino, status.st_mtime_ns), known.get(path)
            if before is None or before[0] != mark or not _is_last(before[1], now):
                before = mark, read(path.parent)
            self._known[path] = before
        return [record for _, record in self._known.values() if record is not None]


def _is_last(record: Record | None, now: float) -> bool:
    """Return whether nothing more is expected of a file; that of a living run is read, whatever its time says."""
    return record is None or record.is_over or _is_dead(record, now)


def _is_dead(record: Record, now: float) -> bool:
    return now - record.written_at > _STALE_AFTER


def spent_by(record: Record, day: str, midnight: float, now: float) -> tuple[Amounts, Amounts, Amounts]:
    """Return what the blocks of *record* have spent since *midnight* of *day*, spend each second, and cost in the end.

    Args:
        record: of another run.
        day: of today.
        midnight: begin of it, in seconds since 1970.
        now: the same.
    """
    spent, burn, reserve = record.settled if record.day == day else NOTHING, NOTHING, NOTHING
    is_dead = _is_dead(record, now)
    for entry in () if record.is_over else record.open:
        until = min(now, record.written_at + entry.lasts + entry.reserve) if is_dead else now
        spent = spent.plus(entry.per_second, max(0.0, until - max(entry.since, midnight)))
        if until == now:
            burn, reserve = burn.plus(entry.per_second), reserve.plus(entry.per_second, entry.reserve)
    return spent, burn, reserve
