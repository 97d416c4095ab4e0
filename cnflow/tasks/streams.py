"""Files for a task's stdout and stderr."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Optional

from cnflow.errors import BadStdStreamFile

if TYPE_CHECKING:
    from contextlib import ExitStack

_TAIL_BYTES = 4096
_TAIL_LINES = 20
_PAIR = 2


class Target(NamedTuple):
    """A stream's file, as it travels."""

    path: str
    mode: str


def target_of(stream: object, name: str) -> Optional[Target]:
    """What was given for the stream *name*, made plain: a path or ``(path, mode)``; None stays None.

    Raises:
        BadStdStreamFile: it is neither.
    """
    if stream is None:
        return None
    path, mode = stream if isinstance(stream, tuple) and len(stream) == _PAIR else (stream, "a+")
    try:
        plain = os.fsdecode(path)
    except TypeError:
        plain = ""
    if not plain or not isinstance(mode, str):
        raise BadStdStreamFile(f"{name}={stream!r}: give a path, which is appended to, or a tuple (path, mode)")
    return Target(plain, mode)


class Sink:
    """An open file for a stream.

    Args:
        target: where; missing folders are made.
        name: ``stdout`` or ``stderr``.

    Raises:
        BadStdStreamFile: it cannot be opened for writing; names stream and path.
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
            raise BadStdStreamFile(f"{name}={target.path!r}: mode {target.mode!r} does not write; give 'a' or 'w'")
        self._begin = os.fstat(self.file.fileno()).st_size
        self._path = path

    def tail(self) -> str:
        """The last lines that were written since it was opened."""
        if not self._path.is_file():
            return ""  # a pipe or a device
        try:
            with self._path.open("rb") as file:
                return tail_of(file, self._begin)
        except OSError:  # it may be written, but not read, or is gone again
            return ""


def open_sinks(
    stdout: Optional[Target], stderr: Optional[Target], undo: ExitStack
) -> tuple[Optional[Sink], Optional[Sink]]:
    """Both streams' files, which *undo* closes; one for both if both go to the same place.

    Raises:
        BadStdStreamFile: as `Sink`.
    """
    out = _opened(stdout, "stdout", undo)
    err = out if stderr == stdout else _opened(stderr, "stderr", undo)
    return out, err


def _opened(target: Optional[Target], name: str, undo: ExitStack) -> Optional[Sink]:
    if target is None:
        return None
    sink = Sink(target, name)
    undo.enter_context(sink.file)
    return sink


def tail_of(file: IO[Any], begin: int = 0) -> str:
    """The last lines of *file*, none of them from before offset *begin*."""
    size = os.fstat(file.fileno()).st_size
    text = os.pread(file.fileno(), _TAIL_BYTES, max(begin, size - _TAIL_BYTES)).decode(errors="replace")
    return "\n".join(text.splitlines()[-_TAIL_LINES:])
