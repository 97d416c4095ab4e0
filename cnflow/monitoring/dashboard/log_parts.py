"""Reads a log that grows, part by part, as the dashboard's pages show it: never more than its end at once.

::

    page ──after=""──> last part, position ──after=position──> what was written since, position ──> ...
                                            └ the file was rotated: from the beginning of the new one
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import IO, TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST = 256 * 1024
"""Bytes that are returned at once."""


class Part(TypedDict):
    """Part of a log, as static/base.js shows it."""

    text: str
    position: str
    """Value of `after` for the next part."""

    skipped: int
    """Bytes before the text that are left out."""

    source: str
    note: str
    """Why there is no text."""

    is_final: bool


def open_log(path: Path, named_by: Sequence[Path] = ()) -> IO[bytes]:
    """Open a file that a run names, to read it.

    A run of another user, in a database of several, could name any file that this process may read: of such a run,
    files of that user alone are opened.

    Args:
        path: of the file; neither a device nor a pipe, which would be waited for, is opened.
        named_by: what names it, such as the folder of the run; the owners of these are asked.

    Raises:
        OSError: it cannot be opened.
    """
    owners = set()
    for each in (path, *named_by) if named_by else ():
        with contextlib.suppress(OSError):
            owners.add(os.lstat(each).st_uid)
    others = owners - {os.geteuid(), 0}  # root, as which containers write, may read all anyway
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(file)
    is_plain = stat.S_ISREG(found.st_mode)
    if is_plain and (not others or found.st_uid in others):
        return os.fdopen(file, "rb")
    os.close(file)
    if is_plain:
        raise PermissionError(errno.EACCES, "the run is of another user, the file is not")
    raise OSError(errno.EINVAL, os.strerror(errno.EISDIR) if stat.S_ISDIR(found.st_mode) else "it is no plain file")


def part_of(
    path: Path, after: str = "", *, most: int = MOST, is_final: bool = False, named_by: Sequence[Path] = ()
) -> Part:
    """Return what *path* has after the position *after*; its end, where that is empty.

    Args:
        path: of the log, which need not exist.
        after: `Part.position` of the part before.
        most: bytes.
        is_final: nothing more will be written.
        named_by: as of `open_log`.
    """
    try:
        file = open_log(path, named_by)
    except FileNotFoundError:
        return _nothing(
            path, after, "Nothing was written yet." if not is_final else "There is no such log.", is_final=is_final
        )
    except OSError as error:
        return _nothing(path, after, f"It cannot be read: {error.strerror}.", is_final=is_final)
    with file:
        inode, size = _identity(file.fileno())
        start, is_first = _start(after, inode, size)
        skipped = max(0, size - start - most)
        start += skipped
        file.seek(start)
        data = file.read(min(most, max(0, size - start)))
    return Part(
        text=data.decode(errors="replace"),
        position=f"{inode}-{start + len(data)}",
        skipped=start if is_first else skipped,
        source=str(path),
        note="" if data or not is_first else "It is empty.",
        is_final=is_final,
    )


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_ino, found.st_size


def _start(after: str, inode: int, size: int) -> tuple[int, bool]:
    """Return where to begin, and whether nothing of the file was shown before."""
    first, _, second = after.partition("-")
    is_place = second.isdecimal() and len(second) < 19  # noqa: PLR2004 - fits a file
    if first == str(inode) and is_place and int(second) <= size:
        return int(second), False
    return 0, True


def _nothing(path: Path, after: str, note: str, *, is_final: bool) -> Part:
    return Part(text="", position=after, skipped=0, source=str(path), note=note, is_final=is_final)
