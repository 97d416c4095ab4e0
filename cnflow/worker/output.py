"""Marks the output of this worker with the task that it is of, where there is output; see `cnflow.wire.output_marks`.

::

    serve ──begin(task)──> print ──first byte──> BEGIN ──────> end() ──> END
                       └─> os.fork, a bash app ──> BEGIN           └──> END, if the pipe has bytes that nobody claimed

A task that prints nothing costs an assignment and, at its end, a look at the pipe: half a microsecond.
"""

from __future__ import annotations

import io
import os
import sys
from fcntl import ioctl
from typing import Any

from cnflow.wire.output_marks import BEGIN, END, mark, title_of

_FIONREAD = 0x541B
"""Linux: asks for the number of bytes in a pipe (ioctl_tty(2)); `termios` has it, which small Pythons lack."""

_NOTHING = b"\0\0\0\0"
"""Number of bytes in an empty pipe, a C int."""


class TaskOutput:
    """Output of one worker; made once, before the first task. Replaces ``sys.stdout`` and ``sys.stderr``."""

    def __init__(self) -> None:
        self._task = -1
        self._name = ""
        self._is_marked = True
        self._pipe = _own_pipe()
        if self._pipe < 0:
            return  # closed, or no pipe: there is nobody who reads marks
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = _stream(number, getattr(sys, name), self)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        os.register_at_fork(before=self.announce)

    def begin(self, task: int, name: str) -> None:
        """Take what is printed from now on for output of *task*, of the app *name*."""
        self._task, self._name = task, name
        self._is_marked = self._pipe < 0

    def announce(self) -> None:
        """Mark the output that follows, unless it is marked already."""
        if not self._is_marked:
            self._is_marked = True
            self._write(BEGIN)

    def end(self) -> None:
        """Take what is printed from now on for output of no task."""
        if self._pipe < 0:
            return
        if self._is_marked or self._has_unread():
            self._write(END)
        self._is_marked = True

    def _write(self, kind: bytes) -> None:
        try:
            os.write(self._pipe, mark(kind, title_of(self._task, self._name)))
        except OSError:
            self._pipe = -1  # the task has closed it

    def _has_unread(self) -> bool:
        try:
            return ioctl(self._pipe, _FIONREAD, _NOTHING) != _NOTHING
        except OSError:
            self._pipe = -1
            return False


class _MarkedFile(io.FileIO):
    """Descriptor of a standard stream; its first write in a task is announced."""

    def __init__(self, number: int, output: TaskOutput) -> None:
        super().__init__(number, "wb", closefd=False)
        self._output = output

    def write(self, data: Any) -> int:  # noqa: ANN401 - bytes, or another buffer
        """Write *data*, as a file without buffer does."""
        self._output.announce()
        return super().write(data)


def _own_pipe() -> int:
    """Return a descriptor for the pipe of the output that stays when stdout is redirected; below 0 if there is none."""
    try:
        return os.dup(1)
    except OSError:
        return -1


def _stream(number: int, before: Any, output: TaskOutput) -> Any:  # noqa: ANN401 - text streams
    """Return a stream like *before*, one of Python's own without buffers (``python -u``), that announces writes."""
    if type(before) is not io.TextIOWrapper:
        return before
    raw = _MarkedFile(number, output)
    raw.name = before.name  # as Python itself does
    stream = io.TextIOWrapper(
        raw,  # a raw file, as in Python's own stream
        encoding=before.encoding,
        errors=before.errors,
        newline="\n",
        line_buffering=before.line_buffering,
        write_through=True,
    )
    stream.mode = "w"  # type: ignore[misc]  # as Python itself does
    return stream
