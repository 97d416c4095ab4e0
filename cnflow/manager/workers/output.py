"""Puts in front of each line that a worker prints the task that it is of. No I/O.

::

    bytes from the pipe ──marks of the worker──> pieces, each of a task ──lines──> predict[12] | hello
                     │                                                             worker 3 | text between tasks
                     └─ no mark says: of the task that runs, as the manager sees it

A line is written as a whole: lines of several workers do not mix. What has no end of a line is one at the end of its
task, or at 16 KiB.
"""

from __future__ import annotations

from typing import Callable, Optional

from cnflow.wire.output_marks import BEGIN, MARK, begin_of_incomplete_mark, title_of

_LONGEST_PIECE = 16 * 1024
"""Bytes of a line that has no end yet."""


class WorkerOutput:
    """Output of one worker process.

    Args:
        rank: of the worker.
        running: returns the id and the app of the task that runs, as the manager knows it; None if there is none.

    Attributes:
        format_lines: puts a title in front of each of some lines.
    """

    def __init__(self, rank: int, running: Callable[[], Optional[tuple[int, str]]]) -> None:
        self._running = running
        self.format_lines: Callable[[bytes, bytes], bytes] = _prefixed
        self._of_worker = b"worker %d" % rank
        self._held = b""
        self._marked = b""
        """Title of the task that has begun to print, and has not ended."""

        self._partial: tuple[bytes, bytes] = (b"", b"")
        """Title, and the line that has no end yet."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return *data* without marks, and the lines that it completes, with their tasks."""
        if self._held:
            data, self._held = self._held + data, b""
        end = begin_of_incomplete_mark(data)
        if end < len(data):
            data, self._held = data[:end], data[end:]
        if b"\x00" not in data:
            return data, self._lines(self._present(), data) if data else b""
        plain: list[bytes] = []
        lines: list[bytes] = []
        start = 0
        for found in MARK.finditer(data):
            kind, title = found.groups()
            piece = data[start : found.start()]
            start = found.end()
            plain.append(piece)
            if kind == BEGIN:
                lines.append(self._lines(self._marked or title, piece))
                self._marked = title
            else:
                lines += [self._lines(title, piece), self._rest()]
                self._marked = b""
        plain.append(data[start:])
        if start < len(data):
            lines.append(self._lines(self._present(), data[start:]))
        return b"".join(plain), b"".join(lines)

    def flush(self) -> bytes:
        """Return what is left at the end of the process."""
        held, self._held = self._held, b""
        return self._lines(self._present(), held) + self._rest()

    def _present(self) -> bytes:
        """Title for bytes that no mark follows."""
        if self._marked:
            return self._marked
        running = self._running()
        return self._of_worker if running is None else title_of(*running)

    def _lines(self, title: bytes, piece: bytes) -> bytes:
        if not piece:
            return b""
        before, partial = self._partial
        lines = b""
        if partial and before != title:
            lines, partial = self._rest(), b""
        whole, newline, rest = (partial + piece).rpartition(b"\n")
        if newline:
            lines += self.format_lines(title, whole)
        self._partial = title, rest
        return lines + self._rest() if len(rest) >= _LONGEST_PIECE else lines

    def _rest(self) -> bytes:
        title, partial = self._partial
        self._partial = title, b""
        return self.format_lines(title, partial) if partial else b""


def _prefixed(title: bytes, lines: bytes) -> bytes:
    prefix = title + b" | "
    return prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n"
