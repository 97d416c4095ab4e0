"""Keeps a log file below a size, in two parts.

::

    lines ──> NAME ──half of the size──> is renamed to NAME.1, in place of the part before ──> a new NAME

So the newest half of what may be kept is always there. A process that has the file as its stderr goes on in the new one
(dup2); several processes that append to one file rotate it once, whichever comes first. Where a file cannot be renamed
(a full or read-only file system), it grows on: a log that is too long is better than none.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

OLDER = ".1"
"""What the name of the older part ends with."""

_REMOVED = " (deleted)"
"""What Linux puts behind the path of an open file that was removed (proc(5))."""

_LEAST_ROOM = 4096


class RotatedFile:
    """Decides when a file that is open for appending is rotated, and does it. Not safe from several threads.

    Args:
        descriptor: of the file; leads to the new file after a rotation. Anything else than a file is left alone.
        limit: bytes of both parts; 0 is no limit.
        path: of the file; empty to ask the system, on Linux.
    """

    def __init__(self, descriptor: int, limit: int = 0, path: str = "") -> None:
        self.limit = limit
        self._descriptor = descriptor
        self._path = path
        self._room = 0
        """Bytes to be written until the size is looked at; others may write to the file, too."""

    def on_written(self, count: int) -> None:
        """Rotate the file if it has grown to half of the limit with the *count* bytes that were written."""
        if not self.limit:
            return
        self._room -= count
        if self._room <= 0:
            self._room = _LEAST_ROOM
            with contextlib.suppress(OSError):  # as the module says
                self._look()

    def _look(self) -> None:
        now = os.fstat(self._descriptor)
        if not stat.S_ISREG(now.st_mode):
            self.limit = 0
        elif now.st_size + _LEAST_ROOM < self.limit // 2:
            self._room = max((self.limit // 2 - now.st_size) // 2, _LEAST_ROOM)
        else:
            self._rotate(stat.S_IMODE(now.st_mode))

    def _rotate(self, mode: int) -> None:
        open_path = self._path or str(Path(f"/proc/self/fd/{self._descriptor}").readlink())
        open_path = open_path.removesuffix(_REMOVED)
        path = Path(open_path.removesuffix(OLDER))
        if open_path == str(path) and path.exists():  # else another process has renamed it since it was opened
            path.replace(open_path + OLDER)
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        try:
            os.dup2(new, self._descriptor, inheritable=os.get_inheritable(self._descriptor))
        finally:
            os.close(new)
