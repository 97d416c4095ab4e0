"""Takes files out of ZIP archives and puts them in; run by a worker, or in a thread of the driver.

An archive is changed by making a new one and putting it in the old one's place: who reads it sees the one or the other,
and who is killed meanwhile has changed nothing. Those that write to it take turns by a lock on a file beside it, on one
machine or on several with a common file system. Others that write to it are not seen.
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
        if not os.path.exists(archive):  # noqa: PTH110 - strings, as they travel
            raise StagingError(f"{archive}, of which {name!r} is wanted, is not there.")
        with zipfile.ZipFile(archive) as opened, opened.open(name) as member, _new(part) as file:
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
            _change(archive, name, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise StagingError(f"{path} could not be put into {archive} as {name!r}: {error}") from error
    _remove(path)


@contextlib.contextmanager
def _locked(archive: str) -> Iterator[None]:
    """For this thread alone, among all on this machine; released by the system when a process dies."""
    with open(f"{archive}.lock", "ab") as lock:  # noqa: PTH123 - a string, as it travels
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _change(archive: str, name: str, path: str) -> None:
    """Put a new archive in the place of the old one: as that was, but with the file at *path* as *name*."""
    part = f"{archive}.part"
    _remove(part)  # of one that was killed
    try:
        if os.path.exists(archive):  # noqa: PTH110 - the same
            _copy_without(archive, name, part)
        with zipfile.ZipFile(part, "a", compression=zipfile.ZIP_DEFLATED, strict_timestamps=False) as opened:
            opened.write(path, arcname=name)
        os.replace(part, archive)  # noqa: PTH105 - the same
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
    return open(path, "wb")  # noqa: PTH123 - closed by the caller


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - the same
