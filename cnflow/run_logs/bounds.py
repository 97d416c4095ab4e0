"""Keeps the logs of a run below sizes that the user sets: `LogFiles.task_size` and `LogFiles.total_size`.

::

    thread, every PERIOD ──> RUN/task_logs/**          larger than half of task_size: its content goes to NAME.1, in
                        │                              place of the part before, and the file begins again
                        └──> all logs of the run       together larger than total_size: older parts, then logs that
                                                       nobody has written to for a while, the oldest first, are removed

A task has its file open while it writes, and appends to it; so the file is copied and emptied, not renamed. What is
written in that moment may be lost; nothing else is.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow.log_rotation import OLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cnflow.config import LogFiles

PERIOD = 2.0
"""Seconds between two looks."""

TASK_LOGS = "task_logs"
"""Folder of the files for AUTO_LOGNAME, in that of the run."""

_QUIET = 60.0
"""Seconds without a line after which a log may be removed: its block has ended, or prints nothing."""

_CHUNK = 2**20
_LOGS = re.compile(r"block-.*\.log|interchange\.log|cnflow\.(log|jsonl)")
"""Names of logs outside of `TASK_LOGS`; each may have an older part."""

_OPEN = re.compile(r"interchange\.log|cnflow\.(log|jsonl)")
"""Those that are open until the end of the run, however long nothing is written to them."""


def bounds_of(settings: LogFiles | None, run_dir: Path) -> LogBounds | None:
    """Return what keeps the bounds of *settings*; None where there are none."""
    if settings is None or not (settings.task_size or settings.total_size):
        return None
    return LogBounds(run_dir, settings.task_size or 0, settings.total_size or 0)


class LogFile(NamedTuple):
    """A log, as it lies on the disk."""

    path: Path
    size: int
    changed: float
    """Unix time of the last line."""

    @property
    def is_older(self) -> bool:
        """True for the older part of a log."""
        return self.path.name.endswith(OLDER)

    @property
    def stays_open(self) -> bool:
        """True for a log that is written to until the end of the run."""
        return _OPEN.fullmatch(self.path.name) is not None


def to_remove(files: Sequence[LogFile], most: int, now: float) -> list[LogFile]:
    """Return those of *files* that have to go so that the others have *most* bytes together. No I/O.

    Older parts go first, then logs without a line for a minute; the oldest first. What is written to stays.
    """
    over = sum(file.size for file in files) - most
    removable = [file for file in files if file.is_older or (now - file.changed > _QUIET and not file.stays_open)]
    found: list[LogFile] = []
    for file in sorted(removable, key=lambda each: (not each.is_older, each.changed)):
        if over <= 0:
            break
        found.append(file)
        over -= file.size
    return found


class LogBounds:
    """Thread that keeps the bounds of one run.

    Args:
        run_dir: folder of the run.
        task_size: bytes of a task's log and its older part; 0 is no limit.
        total_size: bytes of all logs; 0 is no limit.
    """

    def __init__(self, run_dir: Path, task_size: int, total_size: int) -> None:
        self._run_dir = run_dir
        self._task_size = task_size
        self._total_size = total_size
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cnflow-log-bounds", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Look once more and end."""
        self._is_closing.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.enforce()

    def enforce(self) -> None:
        """Bring the logs below their bounds."""
        if self._task_size:
            for file in self._logs(self._run_dir / TASK_LOGS):
                if file.size > self._task_size // 2 and not file.is_older:
                    with contextlib.suppress(OSError):  # a log that is too long is better than none
                        rotate_by_copy(file.path, self._task_size // 2)
        if self._total_size:
            for file in to_remove(list(self._logs(self._run_dir)), self._total_size, time.time()):
                with contextlib.suppress(OSError):
                    file.path.unlink()

    def _run(self) -> None:
        while not self._is_closing.wait(PERIOD):
            self.enforce()

    def _logs(self, folder: Path) -> Iterator[LogFile]:
        of_tasks = self._run_dir / TASK_LOGS
        for place, _, names in os.walk(folder):
            path = self._run_dir / place
            all_are = path == of_tasks or of_tasks in path.parents
            for name in names:
                if all_are or _LOGS.fullmatch(name.removesuffix(OLDER)):
                    with contextlib.suppress(OSError):
                        found = (path / name).stat()
                        yield LogFile(path / name, found.st_size, found.st_mtime)


def rotate_by_copy(path: Path, most: int) -> None:
    """Move the last *most* bytes of a file that others append to into its older part, and empty it.

    Raises:
        OSError: it cannot be done; the file is as it was.
    """
    older = path.with_name(path.name + OLDER)
    partial = older.with_name(older.name + ".partial")
    with path.open("rb+") as source:
        size = source.seek(0, os.SEEK_END)
        source.seek(max(0, size - most))
        with partial.open("wb") as target:
            while data := source.read(_CHUNK):
                target.write(data)
        partial.replace(older)
        source.truncate(0)
