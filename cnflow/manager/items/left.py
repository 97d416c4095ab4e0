"""Items that tasks of this node leave: announced by their workers, and named in their results. No I/O.

::

    ITEM record of a worker ──> announced ── the task's result ──────> take: kept, and named in it
                                    └─────── its worker was lost ────> take: removed
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnflow.model.item import KEY_SIZE
from cnflow.tasks.inside import Left
from cnflow.wire.pipe import ResultKind

if TYPE_CHECKING:
    from cnflow.wire.pipe import Record


class LeftItems:
    """What was announced and not taken; the module has a picture."""

    def __init__(self) -> None:
        self._announced: dict[int, list[Left]] = {}

    def __bool__(self) -> bool:
        return bool(self._announced)

    def on_records(self, records: list[Record]) -> list[Record]:
        """Note the items among *records*, and return the others."""
        if not any(record.type == ResultKind.ITEM for record in records):  # nearly always
            return records
        for record in records:
            if record.type == ResultKind.ITEM:
                self._announced.setdefault(record.id, []).append(_left_in(record))
        return [record for record in records if record.type != ResultKind.ITEM]

    @property
    def paths(self) -> set[str]:
        """Files that were announced and not taken."""
        return {each.path for announced in self._announced.values() for each in announced}

    def take(self, task: int) -> list[Left]:
        """Remove and return what *task*, which has ended, has announced."""
        return self._announced.pop(task, [])


def _left_in(record: Record) -> Left:
    key, size, form, name, path = (bytes(part) for part in record.parts)
    return Left(key[:KEY_SIZE], int(size), int(form), name.decode(), os.fsdecode(path))
