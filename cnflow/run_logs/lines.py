"""Tells the lines of tasks in the log of a block from all others. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OF_TASK = re.compile(rb"(?!\d{4}-\d\d-\d\d )[^\[\]|\n]+\[(\d+)\] \| ")
"""A line that `cnflow.manager.workers.output` has made; one of the manager begins with a date."""

_DROPPED = re.compile(rb"\(\d+ lines were dropped: ")
"""A line that `cnflow.output_queue` has written; its lines may have been of any task."""


def task_of(line: bytes) -> int | None:
    """Return the task that has printed *line* of a block's log; None if none has."""
    found = _OF_TASK.match(line)
    return None if found is None else int(found[1])


def lines_of_tasks(lines: Iterable[bytes], task: int | None = None) -> Iterator[bytes]:
    """Yield those of *lines* that *task*, or any task, has printed, and those that tell of dropped ones."""
    for line in lines:
        found = task_of(line)
        if _DROPPED.match(line) if found is None else task in {None, found}:
            yield line
