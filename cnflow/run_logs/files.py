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

_PART = 2**20
"""Bytes that are read at once."""


def block_logs(run_dir: Path) -> dict[str, Path]:
    """Return the logs of blocks in a run's folder, by name: ``htex/0``; those of one executor in order."""
    found = [*run_dir.glob("*/block-*.log"), *run_dir.glob(f"*/{BLOCKS_ELSEWHERE}/block-*.log")]
    named = {(path.relative_to(run_dir).parts[0], path.stem.removeprefix("block-")): path for path in found}
    keys = sorted(named, key=lambda key: (key[0], int(key[1]) if key[1].isdigit() else -1, key[1]))
    return {"/".join(key): named[key] for key in keys}


def interchange_logs(run_dir: Path) -> dict[str, Path]:
    """Return the logs of interchanges in a run's folder, by name: ``htex/interchange``."""
    return {f"{path.parent.name}/interchange": path for path in sorted(run_dir.glob("*/interchange.log"))}


class GrowingFile:
    """Lines of a file, as they come.

    Args:
        path: of the file, which need not exist yet.
        from_end: leave out what is there already.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._partial = b""
        if from_end:
            self._open(path)
            if self._file is not None:
                self._file.seek(0, os.SEEK_END)
        else:
            self._open(path.with_name(path.name + OLDER))

    def new_lines(self, most: int = _PART) -> list[bytes]:
        """Return whole lines that were written since the last call, without their ends; about *most* bytes of them."""
        data = self._read(most)
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
            self._open(self.path)
        if self._file is None:
            return 0
        return max(0, os.fstat(self._file.fileno()).st_size - self._file.tell())

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
        if self._file is not None:
            data = self._file.read(most)
            if data or not self._is_replaced():
                return data
            data = self._file.read(most)  # written before it was replaced, and after the first look
            if data:
                return data
        self._open(self.path)
        return b"" if self._file is None else self._file.read(most)

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
