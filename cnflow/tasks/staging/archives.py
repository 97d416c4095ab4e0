"""Extracts files from ZIP archives and adds files to them; runs in a worker, or in a thread of the driver.

::

    add: lock ARCHIVE.lock ──> copy the archive without the member to ARCHIVE.part ──> append the file ──> rename
    to ARCHIVE ──> unlock ──> remove the file

A change replaces the archive by a new one: a reader sees the old or the new archive, and a writer that is killed has
changed nothing. Writers of cnflow, on one machine or on several with a common file system, take turns through a lock on
a file beside the archive. Other programs that write to the archive do not respect the lock.
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


_SUFFIX = ".zip/"


def split_path(path: str) -> tuple[str, str]:
    """Archive and member of the *path* of a ``zip:`` URL; the member is empty where it names none.

    The archive's path ends with the first ``.zip`` that a slash follows.
    """
    head, _, name = path.partition(_SUFFIX)
    return head + _SUFFIX[:-1], name


def extract(archive: str, name: str, path: str) -> None:
    """Write the member *name* of *archive* to *path*; missing folders are made.

    Raises:
        StagingError: there is no such archive or member, or it is damaged; names both. *path* is unchanged.
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    part = f"{path}.part"
    try:
        if not os.path.exists(archive):
            raise StagingError(f"{archive} does not exist; {name!r} cannot be extracted from it.")
        with zipfile.ZipFile(archive) as opened, opened.open(name) as member, _new(part) as file:
            shutil.copyfileobj(member, file)
        os.replace(part, path)
    except KeyError:
        raise StagingError(f"{archive} has no member {name!r}.") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise StagingError(f"{name!r} could not be extracted from {archive}: {error}") from error
    finally:
        _remove(part)


def add(path: str, archive: str, name: str) -> None:
    """Add the file at *path* to *archive* as *name*, in place of a member of that name; then remove the file.

    A missing archive and its folder are made.

    Raises:
        StagingError: *path* does not exist, or the archive cannot be written; names both. The archive is unchanged.
    """
    if not os.path.isfile(path):
        raise StagingError(f"The task did not make {path}, which should become {name!r} in {archive}.")
    try:
        os.makedirs(os.path.dirname(archive) or ".", exist_ok=True)
        with _lock(archive):
            _replace_archive(archive, name, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise StagingError(f"{path} could not be added to {archive} as {name!r}: {error}") from error
    _remove(path)


@contextlib.contextmanager
def _lock(archive: str) -> Iterator[None]:
    """Exclude other writers of *archive*; the system releases the lock when the process dies."""
    with open(f"{archive}.lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace_archive(archive: str, name: str, path: str) -> None:
    """Replace the archive by a copy that has the file at *path* as its member *name*."""
    part = f"{archive}.part"
    _remove(part)  # left by a process that was killed
    try:
        if os.path.exists(archive):
            _copy_without(archive, name, part)
        with zipfile.ZipFile(part, "a", compression=zipfile.ZIP_DEFLATED, strict_timestamps=False) as opened:
            opened.write(path, arcname=name)
        os.replace(part, archive)
    finally:
        _remove(part)


def _copy_without(archive: str, name: str, part: str) -> None:
    with zipfile.ZipFile(archive) as old:
        if name not in old.namelist():
            shutil.copy(archive, part)
            return
        with zipfile.ZipFile(part, "w") as new:
            for member in old.infolist():
                if member.filename != name:
                    with old.open(member) as source, new.open(member, "w") as target:
                        shutil.copyfileobj(source, target)


def _new(path: str) -> IO[bytes]:
    return open(path, "wb")


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
