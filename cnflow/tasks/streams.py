"""Opens the files for a task's stdout and stderr, reads their last lines, and finds the process's own streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.errors import BadStdStreamFile

if TYPE_CHECKING:
    from contextlib import ExitStack

_TAIL_BYTES = 4096
_TAIL_LINES = 20
_PAIR = 2


class Target(NamedTuple):
    """File of a stream, as on the wire."""

    path: str
    mode: str


def target_of(stream: object, name: str) -> Optional[Target]:
    """Parse the option *name*, a path or ``(path, mode)``; None stays None.

    Raises:
        BadStdStreamFile: *stream* is neither.
    """
    if stream is None:
        return None
    path, mode = stream if isinstance(stream, tuple) and len(stream) == _PAIR else (stream, "a+")
    try:
        plain = os.fsdecode(path)
    except TypeError:
        plain = ""
    if not plain or not isinstance(mode, str):
        raise BadStdStreamFile(f"{name}={stream!r}: pass a path, to which is appended, or a tuple (path, mode)")
    return Target(plain, mode)


class Sink:
    """An open file for a stream.

    Args:
        target: path and mode; missing folders are made.
        name: ``stdout`` or ``stderr``.

    Raises:
        BadStdStreamFile: the file cannot be opened for writing; names stream and path.
    """

    def __init__(self, target: Target, name: str) -> None:
        self.target = target
        try:
            path = Path(target.path).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: IO[Any] = path.open(target.mode)
        except (OSError, ValueError) as error:
            raise BadStdStreamFile(f"{name}={target.path!r}, mode {target.mode!r}: {error}") from error
        if not self.file.writable():
            self.file.close()
            raise BadStdStreamFile(f"{name}={target.path!r}: mode {target.mode!r} does not write; use 'a' or 'w'")
        self._begin = os.fstat(self.file.fileno()).st_size
        self._path = path

    def tail(self) -> str:
        """Last lines that were written after the file was opened; empty for a pipe or a device."""
        if not self._path.is_file():
            return ""  # a pipe or a device
        try:
            with self._path.open("rb") as file:
                return read_tail(file, self._begin)
        except OSError:  # the user may only write it, or it was removed
            return ""


def open_sinks(
    stdout: Optional[Target], stderr: Optional[Target], undo: ExitStack
) -> tuple[Optional[Sink], Optional[Sink]]:
    """Open the files of both streams, which *undo* closes; one file if both have the same target.

    Raises:
        BadStdStreamFile: as `Sink`.
    """
    out = _open_sink(stdout, "stdout", undo)
    err = out if stderr == stdout else _open_sink(stderr, "stderr", undo)
    return out, err


def _open_sink(target: Optional[Target], name: str, undo: ExitStack) -> Optional[Sink]:
    if target is None:
        return None
    sink = Sink(target, name)
    undo.enter_context(sink.file)
    return sink


def read_tail(file: IO[Any], begin: int = 0) -> str:
    """Last 20 lines of *file* in its last 4 KiB, none of them from before offset *begin*."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), _TAIL_BYTES, max(begin, size - _TAIL_BYTES)).decode(errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def inherited(number: int) -> Optional[int]:
    """Value for `subprocess.Popen` by which a command gets this process's own stream *number*.

    That is None; in a process without that stream (a service, ``2>&-``) it is the null device. Otherwise writing would
    fail there, or another file would be written to that has been given the free number since.
    """
    try:
        is_open = os.get_inheritable(number)
    except OSError:
        is_open = False
    return None if is_open else subprocess.DEVNULL


def copy_to_own_stderr(file: IO[bytes]) -> None:
    """Copy *file* to ``sys.stderr``, or to the first stderr of this process if that is closed or broken.

    In a process that has neither, there is no place for it: a failed task has its last lines in its error.
    """
    file.seek(0)
    data = file.read()
    if data:
        _ = _write(sys.stderr, data) or _write(sys.__stderr__, data)


def _write(stream: Any, data: bytes) -> bool:  # noqa: ANN401 - the user may have put anything there
    """Write *data* to a text stream; return False if the stream refuses it."""
    try:
        text = data.decode(errors="replace")
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except Exception:  # noqa: BLE001 - None, closed, or a user's object, which may fail in any way
        return False
    return True
