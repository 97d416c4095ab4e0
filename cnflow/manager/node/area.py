"""Makes the area of a node (`cnflow.tasks.area`), which all managers of a user on it share.

::

    <working_dir, or the folder for temporary files>/cnflow-area-UID-HOST        files
    /dev/shm/cnflow-area-UID-HOST                                                values, which tasks map

    first manager: makes them, or removes what killed ones have left ──> lock shared by all managers
                                                                             └── the last one removes them
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from cnflow.manager.blob_cache import cache_limit
from cnflow.manager.node import hardware
from cnflow.tasks.area import MEMORY_VARIABLE, VARIABLE, remove_tree

if TYPE_CHECKING:
    from cnflow.ids import ManagerId

logger = logging.getLogger(__name__)

_MEMORY = "/dev/shm"  # noqa: S108 - a file system in memory, also where the C library has its shared memory (shm_overview(7))
_MOST_UNUSED = 16 * 2**30
_PART_OF_DISK = 10
"""Bytes, and part of the free disk, that contents may have; those in use may have more."""


class NodeArea:
    """Area of a node, as one manager uses it.

    Args:
        manager: id of the manager.
        folder: where to make it; empty for the folder for temporary files, which is used as well where it cannot be
            in this one.
        limit: bytes of contents that nothing uses; None follows from the node's disk and memory.

    Attributes:
        owner: name of this manager, as an owner of pins.
        root: path of the area; empty where none can be made, so that only tasks with items fail.
        memory: path of the folder in memory, for values; empty where there is none.
        limit: bytes on disk beyond which contents that nothing uses are removed.
        memory_limit: the same in memory.
    """

    def __init__(self, manager: ManagerId, folder: str, limit: Optional[int] = None) -> None:
        self.owner = manager.hex()
        self._locks: dict[str, int] = {}
        name = f"cnflow-area-{os.getuid()}-{re.sub('[^A-Za-z0-9_.-]', '_', socket.gethostname())}"
        self.root = self._open_first([folder or tempfile.gettempdir(), tempfile.gettempdir()], name)
        self.memory = ""
        with contextlib.suppress(OSError):  # not there, or not writable: values lie on disk, cached by the system
            self.memory = self._open(f"{_MEMORY}/{name}")
        self.limit = _MOST_UNUSED
        if self.root:
            state = os.statvfs(self.root)
            self.limit = min(_MOST_UNUSED, state.f_bavail * state.f_frsize // _PART_OF_DISK)
        self.memory_limit = cache_limit(hardware.memory_bytes())
        if limit is not None:
            self.limit, self.memory_limit = limit, min(limit, self.memory_limit)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables of the workers."""
        return {name: path for name, path in ((VARIABLE, self.root), (MEMORY_VARIABLE, self.memory)) if path}

    def leave(self) -> None:
        """Remove the area if this manager is the last one of the node."""
        for root, lock in self._locks.items():
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                logger.debug("other managers use %s", root)
            else:
                gone = Path(f"{root}.{self.owner}")
                with contextlib.suppress(OSError):
                    Path(root).rename(gone)  # in one step: who comes now makes a new one
                    remove_tree(str(gone))
            finally:
                os.close(lock)
        self._locks.clear()

    def _open_first(self, folders: list[str], name: str) -> str:
        for folder in dict.fromkeys(folders):
            try:
                return self._open(str(Path(folder) / name))
            except OSError as error:
                logger.warning("this node can keep no files of tasks in %s: %s", folder, error)
        return ""

    def _open(self, root: str) -> str:
        """Make or open the folder at *root*, and lock it."""
        while True:
            Path(root).mkdir(mode=0o700, exist_ok=True)
            lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _check_owner(lock, root)
                _share(lock, Path(root))
                if _is_at(lock, Path(root)):
                    self._locks[root] = lock
                    return root
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # the last manager has removed it meanwhile


def _check_owner(lock: int, root: str) -> None:
    found = os.fstat(lock)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{root} belongs to another user, or is open to others")


def _share(lock: int, root: Path) -> None:
    """Lock the folder *root* together with other managers; if there are none, remove first what is in it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # other managers live
    else:
        left = list(root.iterdir()) if _is_at(lock, root) else []  # and stays there: who renames it has this lock
        if left:
            logger.warning("removing what a manager that was killed has left in %s", root)
        for path in left:
            if path.is_dir() and not path.is_symlink():
                remove_tree(str(path))
            else:
                path.unlink()
    fcntl.flock(lock, fcntl.LOCK_SH)


def _is_at(lock: int, root: Path) -> bool:
    try:
        return root.stat().st_ino == os.fstat(lock).st_ino
    except FileNotFoundError:
        return False
