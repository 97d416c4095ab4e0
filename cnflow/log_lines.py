"""Lines of logs as JSON, for programs to read: ``Config(logs=LogFiles(format="json"))``. No I/O.

::

    {"timestamp": "...", "task": 12, "app": "predict", "worker": 3, ..., "message": "hello"}      of a task
    {"timestamp": "...", "worker": 3, "executor": "htex", "block": "0", ..., "message": "..."}    of a worker
    {"timestamp": "...", "level": "INFO", "name": "...", "executor": "htex", ..., "message": "..."}   of cnflow itself

Run, executor, block, manager and host are in each line. The field ``task``, where there is one, is the second, so that
a reader finds it without parsing the whole line.
"""

from __future__ import annotations

import json
import logging
import re
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from collections.abc import Mapping

_TITLE_OF_TASK = re.compile(rb"(.*)\[(\d+)\]", re.DOTALL)
"""Title of a task's lines, as `cnflow.wire.output_marks` makes it: app and number."""


class JSONLog:
    """Writes lines as JSON.

    Args:
        ids: fields of every line, such as ``run``, ``executor`` and ``block``; empty ones are left out.
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = {name: text for name, text in ids.items() if text}

    def of_worker(self, rank: int) -> Callable[[bytes, bytes], bytes]:
        """Return a function that takes a title and the lines below it, and returns them for worker *rank*."""

        def format_lines(title: bytes, lines: bytes) -> bytes:
            found = _TITLE_OF_TASK.fullmatch(title)
            ids: dict[str, object] = {} if found is None else {"task": int(found[2]), "app": _text(found[1])}
            ids["worker"] = rank
            return b"".join(self._line({**ids, **self._ids, "message": _text(line)}) for line in lines.split(b"\n"))

        return format_lines

    def dropped(self, count: int) -> bytes:
        """Return the line on *count* lines that were dropped."""
        return self._line({"level": "WARNING", **self._ids, "dropped": count, "message": f"{count} lines were dropped"})

    def formatter(self) -> logging.Formatter:
        """Return a formatter for records of the module `logging`."""
        return _Formatter(self)

    def of_record(self, record: logging.LogRecord, message: str) -> str:
        """Return the line of *record*, without its end."""
        fields = {"level": record.levelname, "name": record.name, **self._ids, "message": message}
        return self._line(fields, record.created).decode()[:-1]

    @staticmethod
    def _line(fields: Mapping[str, object], moment: float | None = None) -> bytes:
        return (
            json.dumps({"timestamp": timestamp(time.time() if moment is None else moment), **fields}).encode() + b"\n"
        )


class _Formatter(logging.Formatter):
    """Formats records as JSON; the text of an exception belongs to the message."""

    def __init__(self, log: JSONLog) -> None:
        super().__init__("%(message)s")
        self._log = log

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return self._log.of_record(record, super().format(record))


def timestamp(moment: float) -> str:
    """*moment*, Unix time, in UTC as ISO 8601 has it."""
    return datetime.fromtimestamp(moment, timezone.utc).isoformat(timespec="microseconds")


def _text(line: bytes) -> str:
    return line.decode(errors="backslashreplace")
