"""Finds the logs in a run's folder, and reads a file that grows and is rotated.

::

    new_lines() ──> what was written since the last call, whole lines only
                    │ the name leads to another file by now: the rest of this one, then the next one from its beginning
                    └ more than can be read at once: the rest with the next call; skip() leaves it out, and counts it
"""

from __future__ import annotations

import contextlib
import os
from typing import IO, TYPE_CHECKING

from cnflow.log_rotation import OLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCKS_ELSEWHERE = "block-logs"
"""Name of a link in an executor's folder to the folder of its blocks' logs, where the user wants them elsewhere."""

_BEGIN, _END = "block-", ".log"

_PART = 2**20
"""Bytes that are read at once."""


def block_logs(run_dir: Path) -> dict[str, Path]:
    """Return the logs of blocks in a run's folder, by name: ``htex/0``; those of one executor in order."""
    named: dict[tuple[str, str], Path] = {}
    for folder in (*run_dir.glob("*/"), *run_dir.glob(f"*/{BLOCKS_ELSEWHERE}/")):
        label = folder.relative_to(run_dir).parts[0]
        names = [name for name in _names_in(folder) if name.startswith(_BEGIN) and name.endswith(_END)]
        named.update({(label, name[len(_BEGIN) : -len(_END)]): folder / name for name in names})
    keys = sorted(named, key=lambda key: (key[0], int(key[1]) if key[1].isdigit() else -1, key[1]))
    return {"/".join(key): named[key] for key in keys}


def _names_in(folder: Path) -> list[str]:
    """Return the names of files; none if the folder is gone, or is no folder."""
    with contextlib.suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208 - of thousands of files, several times a second
    return []


def interchange_logs(run_dir: Path) -> dict[str, Path]:
    """Return the logs of interchanges in a run's folder, by name: ``htex/interchange``."""
    return {f"{path.parent.name}/interchange": path for path in sorted(run_dir.glob("*/interchange.log"))}


class GrowingFile:
    """Lines of a file, as they come. The file is open only while it grows: a run may have thousands of logs.

    Args:
        path: of the file, which need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._at: tuple[int, int] | None = None
        """Inode and position of the file that was closed when it had no more."""

        self._partial = b""
        self._open(path.with_name(path.name + OLDER))

    def new_lines(self, most: int = _PART) -> list[bytes]:
        """Return whole lines that were written since the last call, without their ends; about *most* bytes of them."""
        data = self._read(most)
        if self._file is not None and len(data) < most and not self._is_replaced():
            self._rest()
        if not data:
            return []
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _PART:
            lines, self._partial = [*lines, self._partial], b""
        return lines

    def last_line(self) -> list[bytes]:
        """Return the line that has no end, once no more comes."""
        line, self._partial = self._partial, b""
        return [line] if line else []

    def backlog(self) -> int:
        """Return the bytes of this file that were not read."""
        if self._file is None:
            self._reopen()
        if self._file is None:
            return 0
        return max(0, os.fstat(self._file.fileno()).st_size - self._file.tell())

    def has_news(self) -> bool:
        """Return True unless the file was read to its end, and has not grown nor been replaced since."""
        if self._file is not None:
            return True
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_ino, now.st_size) != self._at

    def skip(self, left: int) -> int:
        """Leave out all but the last *left* bytes, to the end of a line; return how many."""
        assert self._file is not None  # it has a backlog
        start = self._file.tell()
        self._file.seek(-left, os.SEEK_END)
        self._file.readline()
        self._partial = b""
        return self._file.tell() - start

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, most: int) -> bytes:
        if self._file is None:
            if not self.has_news():
                return b""
            self._reopen()
        if self._file is not None:
            data = self._file.read(most)
            if data or not self._is_replaced():
                return data
            data = self._file.read(most)  # written before it was replaced, and after the first look
            if data:
                return data
            self._open_after(os.fstat(self._file.fileno()).st_ino)
        else:
            self._open(self.path)
        return b"" if self._file is None else self._file.read(most)

    def _open_after(self, inode: int) -> None:
        """Open the part that follows the one of *inode*, which was read: the older one, if it is another by now."""
        older = self.path.with_name(self.path.name + OLDER)
        self._open(self.path)  # before the look: if the older one is still that of *inode*, nothing lies between them
        with contextlib.suppress(OSError):
            if older.stat().st_ino != inode:
                self._open(older)

    def _rest(self) -> None:
        """Close the file, which has no more for now, and keep the place."""
        assert self._file is not None  # the caller has read it
        self._at = os.fstat(self._file.fileno()).st_ino, self._file.tell()
        self.close()

    def _reopen(self) -> None:
        """Open the file where it was left, wherever its name leads to by now; else the oldest one.

        A file that is gone was rotated twice since, so that nothing of the older part was read either.
        """
        if self._at is not None:
            inode, position = self._at
            if self._is_emptied(inode, position):
                return
            for path in (self.path, self.path.with_name(self.path.name + OLDER)):
                self._open(path)
                now = os.fstat(self._file.fileno()) if self._file is not None else None
                if self._file is not None and now is not None and now.st_ino == inode and now.st_size >= position:
                    self._file.seek(position)
                    return
            if self._file is not None:  # the older part
                return
        self._open(self.path)

    def _is_emptied(self, inode: int, position: int) -> bool:
        """Open the copy of a file that was emptied since (`cnflow.run_logs.bounds`), where its rest is; else False."""
        self._open(self.path)
        now = os.fstat(self._file.fileno()) if self._file is not None else None
        if now is None or now.st_ino != inode or now.st_size >= position:
            return False
        self._open(self.path.with_name(self.path.name + OLDER))
        if self._file is None:
            return False
        self._file.seek(position)
        self._at = None
        return True

    def _is_replaced(self) -> bool:
        assert self._file is not None  # the caller has read it
        try:
            return self.path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False

    def _open(self, path: Path) -> None:
        self.close()
        with contextlib.suppress(OSError):
            self._file = path.open("rb")


def all_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file and its older part."""
    file = GrowingFile(path)
    try:
        while lines := file.new_lines():
            yield from lines
        yield from file.last_line()
    finally:
        file.close()
