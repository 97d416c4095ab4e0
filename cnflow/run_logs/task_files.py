"""Remembers in a run's folder which files the streams of tasks go to, where calls name them with ``stdout=``."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnflow.ids import TaskId

FILE = "task_files.jsonl"
"""Name of the file in a run's folder: an object for each task that has such a file."""

_PAIR = 2


def record(run_dir: Path, task: TaskId, app: str, folder: str, stdout: object, stderr: object) -> None:
    """Append the files of *task*; what is no path is left out.

    Args:
        run_dir: folder of the run.
        task: its id.
        app: its name.
        folder: to which relative paths refer; empty for the current one.
        stdout: path, or ``(path, mode)``.
        stderr: as well.
    """
    streams = {"stdout": _path_of(stdout, folder), "stderr": _path_of(stderr, folder)}
    row = {"task": task, "app": app, **{name: path for name, path in streams.items() if path}}
    with (
        contextlib.suppress(OSError),
        (run_dir / FILE).open("a", encoding="utf-8") as file,
    ):  # a full disk stops no task
        file.write(json.dumps(row) + "\n")


def files_of(run_dir: Path, task: int) -> dict[str, Path]:
    """Return the files of *task* by the name of the stream; one for both streams is there once."""
    found: dict[str, Path] = {}
    with contextlib.suppress(OSError), (run_dir / FILE).open(encoding="utf-8") as file:
        for line in file:
            if f'"task": {task},' not in line:
                continue
            row: dict[str, Any] = json.loads(line)
            found = {name: Path(row[name]) for name in ("stdout", "stderr") if name in row}
    if found.get("stdout") == found.get("stderr"):
        found.pop("stderr", None)
    return found


def _path_of(stream: Any, folder: str) -> str:  # noqa: ANN401 - the user's
    path = stream[0] if isinstance(stream, tuple) and len(stream) == _PAIR else stream
    try:
        return str(Path(folder or ".").absolute() / os.fsdecode(path))
    except (TypeError, ValueError, OSError):
        return ""
