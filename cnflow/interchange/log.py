"""Log of the interchange, which never waits for its file: that may be on a file system that hangs.

::

    logger ──> LogQueue ── bounded queue ──> thread ── write ──> stderr
                  └── full: the line is dropped and counted; the next one that is written follows the count
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
from typing import Optional

_MOST_LINES = 10_000
_CLOSE_TIMEOUT = 1.0
"""Seconds that the end of the process waits for the last lines."""


class LogQueue(logging.Handler):
    """Handler that formats a line and leaves writing it to a thread.

    Args:
        descriptor: written to; stays open.
        most: lines that may wait.
    """

    def __init__(self, descriptor: int, most: int = _MOST_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[Optional[str]] = queue.Queue(most)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="cnflow-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of *record*; drop it if too many wait."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a line that cannot be formatted ends no process; logging reports it
            self.handleError(record)
            return
        try:
            if self._dropped:
                self._lines.put_nowait(f"({self._dropped} lines were dropped: the log could not be written)")
                self._dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait until all lines are written; not for ever."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(_CLOSE_TIMEOUT)
        super().close()

    def _write_lines(self) -> None:
        while (line := self._lines.get()) is not None:
            data = line.encode(errors="backslashreplace") + b"\n"
            with contextlib.suppress(OSError):  # no space: later lines may have some
                while data:
                    data = data[os.write(self._descriptor, data) :]


def start_logging(descriptor: int) -> LogQueue:
    """Make the root logger write to *descriptor*; the caller closes the handler at the end."""
    handler = LogQueue(descriptor)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    return handler
