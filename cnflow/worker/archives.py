"""Takes files out of ZIP archives and puts them in; run by a worker, or in a thread of the driver.

Whoever reads or writes an archive through here holds a lock on a file beside it, so that tasks of one machine, or of
several with a common file system, do not tear it. Others that write to it are not seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import zipfile
from typing import IO, TYPE_CHECKING

from cnflow.errors import StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator


def extract(archive: str, name: str, path: str) -> None:
    """Write the member *name* of *archive* to *path*, whose folder is made.

    Raises:
        StagingError: there is no such archive or member, or it is damaged; names both.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - strings, as they travel
    part = f"{path}.part"
    try:
        if not os.path.exists(archive):  # noqa: PTH110 - before a lock is made beside nothing
            raise StagingError(f"{archive}, of which {name!r} is wanted, is not there.")
        with _locked(archive), zipfile.ZipFile(archive) as opened, opened.open(name) as member, _new(part) as file:
            shutil.copyfileobj(member, file)
        os.replace(part, path)  # noqa: PTH105 - the same
    except KeyError:
        raise StagingError(f"{archive} holds no {name!r}.") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise StagingError(f"{name!r} could not be taken out of {archive}: {error}") from error
    finally:
        _remove(part)


def add(path: str, archive: str, name: str) -> None:
    """Put the file at *path* into *archive* as *name*, in the place of what is there under that name; then remove it.

    The archive and its folder are made where they are missing. When it fails the archive is as it was.

    Raises:
        StagingError: *path* is not there, or the archive cannot be written; names both.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - strings, as they travel
        raise StagingError(f"The task did not make {path}, which was to become {name!r} in {archive}.")
    try:
        os.makedirs(os.path.dirname(archive) or ".", exist_ok=True)  # noqa: PTH103, PTH120 - the same
        with _locked(archive):
            if _holds(archive, name):
                _rewrite_without(archive, name)
            _append(path, archive, name)
    except (OSError, zipfile.BadZipFile) as error:
        raise StagingError(f"{path} could not be put into {archive} as {name!r}: {error}") from error
    _remove(path)


@contextlib.contextmanager
def _locked(archive: str) -> Iterator[None]:
    """For this thread alone, among all on this machine; released by the system when a process dies."""
    with open(f"{archive}.lock", "ab") as lock:  # noqa: PTH123 - a string, as it travels
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _holds(archive: str, name: str) -> bool:
    if not os.path.exists(archive):  # noqa: PTH110 - the same
        return False
    with zipfile.ZipFile(archive) as opened:
        return name in opened.namelist()


def _rewrite_without(archive: str, name: str) -> None:
    part = f"{archive}.part"
    try:
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(part, "w") as new:
            for member in old.infolist():
                if member.filename != name:
                    with old.open(member) as source, new.open(member, "w") as target:
                        shutil.copyfileobj(source, target)
        os.replace(part, archive)  # noqa: PTH105 - the same
    finally:
        _remove(part)


def _append(path: str, archive: str, name: str) -> None:
    """Add a member; it overwrites the table of contents at the archive's end, so that is put back when it fails."""
    begin, contents = _table_of_contents(archive)
    try:
        with zipfile.ZipFile(archive, "a", compression=zipfile.ZIP_DEFLATED, strict_timestamps=False) as opened:
            opened.write(path, arcname=name)
    except BaseException:
        if contents:
            with open(archive, "r+b") as file:  # noqa: PTH123 - the same
                file.seek(begin)
                file.write(contents)
                file.truncate()
        else:
            _remove(archive)
        raise


def _table_of_contents(archive: str) -> tuple[int, bytes]:
    """Where it begins, and itself; nothing for an archive that is yet to be made."""
    if not os.path.exists(archive):  # noqa: PTH110 - the same
        return 0, b""
    with zipfile.ZipFile(archive) as opened:
        begin = opened.start_dir
    with open(archive, "rb") as file:  # noqa: PTH123 - the same
        file.seek(begin)
        return begin, file.read()


def _new(path: str) -> IO[bytes]:
    return open(path, "wb")  # noqa: PTH123 - closed by the caller


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - the same
