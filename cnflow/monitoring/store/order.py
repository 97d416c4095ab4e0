"""What the driver tells the writer, and the names of the files that they share in the run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

NAME = "monitoring.journal"
"""Of the first driver; one that takes the run over while a journal is left there makes ``monitoring.journal.1``."""

LOG = "monitoring.log"
LOCK = "monitoring.lock"
"""Held by the writer of a run: there is one at a time."""


class Order(msgspec.Struct):
    """Written to the writer's stdin, as a line of JSON: a URL may hold a password."""

    url: str
    driver: int
    """Process id of the driver."""

    started: str
    """When that process was started, as the kernel counts."""

    debug: bool = False
    is_urgent: bool = False
    """The run has ended, and its user waits: the writer need not be nice."""

    journal: str = ""
    """Id of the driver's own journal; those before it in the folder are of drivers whose run it has taken over."""


def journals(folder: Path) -> list[Path]:
    """Return the journals of the run in *folder*, the oldest first."""
    numbers = {number: path for path in folder.glob(f"{NAME}*") if (number := _number_of(path)) >= 0}
    return [numbers[number] for number in sorted(numbers)]


def new_journal(folder: Path) -> Path:
    """Return the path of a journal after all that are in *folder*."""
    last = journals(folder)[-1:]
    return folder / f"{NAME}.{_number_of(last[0]) + 1}" if last else folder / NAME


def _number_of(path: Path) -> int:
    number = path.name[len(NAME) + 1 :]
    if path.name == NAME:
        return 0
    return int(number) if path.name == f"{NAME}.{number}" and number.isdecimal() else -1
