"""Writes what the tasks of a live run print to the driver's stderr: ``Config(stream_logs=True)``.

::

    thread, every PERIOD ──> each block's log ──lines of tasks──> sys.stderr
                                └── more than MOST_BEHIND: the oldest are left out, and a line tells how much

Only this thread waits for stderr: a terminal that shows slowly holds up neither tasks nor their logs.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING

from cnflow.run_logs.files import GrowingFile, block_logs
from cnflow.run_logs.lines import as_text, lines_of_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PERIOD = 0.2
"""Seconds between two looks."""

MOST_BEHIND = 4 * 2**20
"""Bytes of one log that may wait to be shown."""

_KEPT = 2**20
"""Bytes that are shown of a log that was further behind."""

_CLOSE_TIMEOUT = 5.0
"""Seconds that the end of the run waits for the last lines to be shown."""


class LogStream:
    """Shows the output of the tasks of one run.

    Args:
        run_dir: folder of the run.
        write: takes whole lines; None writes to what is `sys.stderr` at that time.
        most_behind: bytes of one log that may wait.
    """

    def __init__(
        self, run_dir: Path, write: Callable[[str], None] | None = None, most_behind: int = MOST_BEHIND
    ) -> None:
        self._run_dir = run_dir
        self._write = write or _write_to_stderr
        self._most_behind = most_behind
        self._files: dict[str, GrowingFile] = {}
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cnflow-logs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Show what is there and end; not for ever. Called when the blocks have ended."""
        self._is_closing.set()
        if self._thread.ident is None:
            self._run()  # never started
        elif self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_TIMEOUT)

    def show_new(self) -> bool:
        """Write the lines that are new; return False if there were none."""
        for name, path in block_logs(self._run_dir).items():
            if name not in self._files:
                self._files[name] = GrowingFile(path)
        shown = False
        for name, file in self._files.items():
            if not file.has_news():
                continue
            skipped = file.skip(min(_KEPT, self._most_behind)) if file.backlog() > self._most_behind else 0
            if skipped:
                self._write(f"(block {name}: {skipped} bytes of output are not shown; they are in {file.path})\n")
            lines = file.new_lines()
            shown = shown or bool(lines)
            text = b"".join(as_text(line) + b"\n" for line in lines_of_tasks(lines))
            if text:
                self._write(text.decode(errors="replace"))
        return shown

    def _run(self) -> None:
        while not self._is_closing.wait(PERIOD):
            self.show_new()
        while self.show_new():
            pass
        for file in self._files.values():
            file.close()


def _write_to_stderr(text: str) -> None:
    """Write to stderr as it is now: a progress display or a notebook may have replaced it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none: the logs have the lines
        sys.stderr.write(text)
        sys.stderr.flush()
