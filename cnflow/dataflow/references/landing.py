"""Folder of this process for values that are fetched from nodes; each file is removed once it is mapped.

In shared memory where that has room, since a value is mapped from there; else in the folder for temporary files. Each
folder is locked by its process. One that is free belongs to a process that was killed, and is removed by the next one.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import itertools
import os
import shutil
import tempfile
import time
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made in it
_PREFIX = "cnflow-values-"
_YOUNG = 60.0
_numbers = itertools.count()


def landing_path(size: int) -> str:
    """Return a new path for a value of *size* bytes.

    Raises:
        OSError: no folder can be made.
    """
    in_memory = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free // 2 > size
    parent = _SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
    return os.fspath(_folder_in(parent, os.getpid()) / str(next(_numbers)))


@functools.cache
def _folder_in(parent: Path, process: int) -> Path:
    _remove_orphans(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)  # until the process ends
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # not in a child that was forked
        shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(parent: Path) -> None:
    """Remove the folders of the user's processes that have ended without doing so."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or just removed; BlockingIOError: locked
            if time.time() - folder.stat().st_mtime < _YOUNG:
                continue  # it may not be locked yet
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
