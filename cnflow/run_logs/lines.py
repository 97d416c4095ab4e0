"""Tells the lines of tasks in the log of a block from all others, in a log of text and in one of JSON. No I/O.

::

    predict[12] | hello                                   {"timestamp": "...", "task": 12, "app": "predict", ...}
          └──────────── task_of ──> 12 <── task_of ────────────────────────┘
          └──────────── as_text ──> predict[12] | hello <── as_text ───────┘
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OF_TASK = re.compile(rb"(?!\d{4}-\d\d-\d\d )([^\[\]|\n]+)\[(\d+)\] \| ")
"""A line that `cnflow.manager.workers.output` has made; one of the manager begins with a date."""

_JSON_OF_TASK = re.compile(rb'\{"timestamp": "[^"]*", "task": (\d+), ')
"""The same, made by `cnflow.log_lines`."""

_DROPPED = re.compile(rb'\(\d+ lines were dropped: |\{"timestamp": "[^"]*", .*"dropped": \d+, ')
"""A line that `cnflow.output_queue` has written; its lines may have been of any task."""

_WORKER = re.compile(rb"worker (\d+) \| ")


def task_of(line: bytes) -> int | None:
    """Return the task that has printed *line* of a block's log; None if none has."""
    if line.startswith(b"{"):
        found = _JSON_OF_TASK.match(line)
        return None if found is None else int(found[1])
    found = _OF_TASK.match(line)
    return None if found is None else int(found[2])


def lines_of_tasks(lines: Iterable[bytes], task: int | None = None) -> Iterator[bytes]:
    """Yield those of *lines* that *task*, or any task, has printed, and those that tell of dropped ones."""
    for line in lines:
        found = task_of(line)
        if _DROPPED.match(line) if found is None else task in {None, found}:
            yield line


def as_text(line: bytes) -> bytes:
    """Return *line* as a log of text has it."""
    fields = _parse(line)
    if fields is None:
        return line
    message = str(fields.get("message", ""))
    if "task" in fields:
        return f"{fields.get('app', '')}[{fields['task']}] | {message}".encode()
    if "worker" in fields:
        return f"worker {fields['worker']} | {message}".encode()
    if "dropped" in fields:
        return f"({message}: the log could not be written)".encode()
    return f"{fields.get('timestamp', '')} {fields.get('level', '')} {message}".encode()


def as_json(line: bytes, ids: dict[str, str]) -> dict[str, Any]:
    """Return the fields of *line*, with *ids* where the line itself does not name them."""
    fields = _parse(line)
    if fields is not None:
        return {**fields, **{name: text for name, text in ids.items() if name not in fields}}
    if (found := _OF_TASK.match(line)) is not None:
        app = found[1].decode(errors="replace")
        return {"task": int(found[2]), "app": app, **ids, "message": _rest(line, found)}
    if (found := _WORKER.match(line)) is not None:
        return {"worker": int(found[1]), **ids, "message": _rest(line, found)}
    return {**ids, "message": line.decode(errors="replace")}


def _rest(line: bytes, found: re.Match[bytes]) -> str:
    return line[found.end() :].decode(errors="replace")


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the fields of a line that `cnflow.log_lines` has made; None for any other."""
    if not line.startswith(b'{"timestamp": '):
        return None
    try:
        fields = json.loads(line)
    except ValueError:  # the end of a line that was cut off with its part of the log
        return None
    return fields if isinstance(fields, dict) else None
