"""Output of a process that never waits for its reader: a full pipe or a hung file system must not stop heartbeats.

::

    loop, logger ── write ──> queue, bounded in bytes ──> thread ── os.write ──> descriptor: a pipe, a file
                                 └── full: dropped and counted; the count is written once there is room
                                                        a file is rotated at its limit: `cnflow.log_rotation`
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from typing import Callable

from cnflow.log_rotation import RotatedFile

MOST_BYTES = 4 * 2**20
"""Bytes that may wait: minutes of an ordinary log."""

_CLOSE_TIMEOUT = 1.0
"""Seconds that the end of the process waits for the last lines."""


class OutputQueue:
    """Writes to a descriptor, in order, without ever blocking its callers. Safe from any thread.

    Args:
        descriptor: written to; stays open.
        most: bytes that may wait.
        limit: bytes of a file and its older part, if the descriptor is of a file; 0 is no limit.
    """

    def __init__(self, descriptor: int, most: int = MOST_BYTES, limit: int = 0) -> None:
        self._descriptor = descriptor
        self._file = RotatedFile(descriptor, limit)
        self._most = most
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        """Bytes in `_chunks`."""

        self._dropped = 0
        """Lines that found no room since the last chunk that found some."""

        self.line_on_dropped: Callable[[int], bytes] = _line_on_dropped
        """Makes the line on a number of lines that were dropped."""

        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._write_chunks, name="cnflow-output", daemon=True)
        self._thread.start()

    def set_limit(self, limit: int) -> None:
        """Rotate the file from now on so that both of its parts have *limit* bytes at most."""
        self._file.limit = limit

    def write(self, data: bytes) -> None:
        """Queue *data*, or drop it as a whole if too much waits."""
        with self._changed:
            if self._waiting + len(data) > self._most:
                self._dropped += max(1, data.count(b"\n"))
                return
            if self._dropped:
                self._put(self.line_on_dropped(self._dropped))
                self._dropped = 0
            self._put(data)
            self._changed.notify()

    def close(self) -> None:
        """Wait until all is written; not for ever."""
        with self._changed:
            if self._dropped:
                self._put(self.line_on_dropped(self._dropped))
                self._dropped = 0
            self._is_closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_TIMEOUT)

    def _put(self, data: bytes) -> None:
        self._chunks.append(data)
        self._waiting += len(data)

    def _write_chunks(self) -> None:
        while data := self._next_chunk():
            with contextlib.suppress(OSError):  # no space: later lines may have some; no reader: nobody misses them
                while data:
                    count = os.write(self._descriptor, data)
                    data = data[count:]
                    self._file.on_written(count)

    def _next_chunk(self) -> bytes:
        """Wait for a chunk and remove it from the queue; empty once the queue is closed."""
        with self._changed:
            while not self._chunks and not self._is_closed:
                self._changed.wait()
            if not self._chunks:
                return b""
            data = self._chunks.popleft()
            self._waiting -= len(data)
            return data


def _line_on_dropped(count: int) -> bytes:
    return b"(%d lines were dropped: the log could not be written)\n" % count


class OutputHandler(logging.Handler):
    """Writes log records to an `OutputQueue`, a line each; closes the queue with itself."""

    def __init__(self, output: OutputQueue) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line of *record*."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a line that cannot be formatted ends no process; logging reports it
            self.handleError(record)
            return
        self._output.write(line.encode(errors="backslashreplace") + b"\n")

    def close(self) -> None:
        """Wait until all lines are written; not for ever."""
        self._output.close()
        super().close()
