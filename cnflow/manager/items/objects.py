"""Contents in the areas of a node, which its managers share: found, put, pinned and evicted. Files only, no decisions.

::

    <root>/objects/KEY           content, or a link to one in memory; workers find it by its key alone
    <root>/pins/OWNER/KEY        second link to a content: OWNER needs it, and nobody evicts it; OWNER locks the folder
    <memory>/KEY, pins/...       the same for contents in memory

Managers do not talk to each other: contents appear by a rename, and one with a second link is in use, be it a manager's
pin or in the folder of a task.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from cnflow.tasks.area import object_path, partial_folder
from cnflow.tasks.file_identity import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_ONLY = 0o555
"""And executable: a key does not tell whether a file is a program."""

_FRESH = 60.0
"""Seconds after its last use for which a content stays: another manager may be about to pin it."""


logger = logging.getLogger(__name__)


class Evicted(NamedTuple):
    """What an eviction has left, and removed."""

    size: int
    """Bytes that are left."""

    removed: int
    """Number of contents."""


class Objects:
    """Contents of one node; the module has a picture.

    Args:
        root: of the area, a link into which leads to each content.
        memory: folder in memory; empty where there is none.
        owner: name of this manager.
    """

    def __init__(self, root: str, memory: str, owner: str) -> None:
        self.root = root
        self._folders = {False: os.path.join(root, "objects"), True: memory}
        self._pins = {
            in_memory: folder and os.path.join(folder, "pins", owner)
            for in_memory, folder in ((False, root), (True, memory))
        }
        self._owner = owner
        for folder in (self._folders[False], partial_folder(root)):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        self._locks = [_make_locked(pins) for pins in filter(None, self._pins.values())]

    def partial(self, key: bytes, *, in_memory: bool) -> str:
        """Path to which a content is written as it arrives."""
        folder = self._folders[True] if in_memory else partial_folder(self.root)
        return os.path.join(folder, f"{key.hex()}.{self._owner}")

    def has_memory_for(self, size: int) -> bool:
        """Return True if the folder in memory has twice the room that is needed."""
        if not self._folders[True]:
            return False
        state = os.statvfs(self._folders[True])
        return 2 * size <= state.f_bavail * state.f_frsize

    def put(self, path: str, key: bytes, size: int) -> int:
        """Make the file at *path*, whose bytes are those of *key*, a content and pin it; return its bytes if it is new.

        Raises:
            OSError: the file is gone, or the area cannot be written to.
        """
        if self.pin(key, size):
            _remove_file(path)
            return 0
        os.chmod(path, _READ_ONLY)
        if os.path.dirname(path) == self._folders[True]:
            whole = os.path.join(self._folders[True], key.hex())
            os.rename(path, whole)
            self._link(whole, key)
        else:
            os.rename(path, object_path(self.root, key))
        if not self.pin(key, size):
            raise FileNotFoundError(errno.ENOENT, f"it has another size than {size:,} bytes, or was removed", path)
        return size

    def adopt_nameless(self, place: str, key: bytes, size: int) -> bool:
        """Give a nameless file in memory, of a process on this machine, the name of a content, and pin it.

        Nothing is copied, and nothing verified: the process is this user's, and has computed the key of this memory.

        Args:
            place: ``/proc/PID/fd/NUMBER IDENTITY`` of a file that was opened with ``O_TMPFILE``.
            key: of the content.
            size: of the content.

        Returns:
            False if the process is on another machine, has ended, or sees another memory: the bytes have to travel.
        """
        path, _, identity = place.partition(" ")
        if not self._folders[True] or not path.startswith("/proc/"):
            return False
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            return False
        try:
            state = os.fstat(file)
            if identity_of(file) != identity or state.st_size != size or state.st_uid != os.getuid():
                return False
            os.fchmod(file, _READ_ONLY)
            content = os.path.join(self._folders[True], key.hex())
            with contextlib.suppress(FileExistsError):
                # With a folder's descriptor it is linkat(2), which follows the link to a file without a name.
                os.link(f"/proc/self/fd/{file}", content, src_dir_fd=file, follow_symlinks=True)
            return self.pin(key, size)
        except OSError as error:
            logger.debug("the value at %s has to be sent: %s", place, error)
            return False
        finally:
            os.close(file)

    def pin(self, key: bytes, size: int) -> bool:
        """Keep a content until `unpin`; return False if it is not here.

        Raises:
            OSError: the area cannot be written to.
        """
        path = object_path(self.root, key)
        for in_memory, folder in self._folders.items():
            content = os.path.join(folder, key.hex())
            try:
                if not folder or os.path.islink(content) or os.stat(content).st_size != size:
                    continue
                os.utime(content, ns=(time.time_ns(), os.stat(content).st_mtime_ns))
                pin = os.path.join(self._pins[in_memory], key.hex())
                with contextlib.suppress(FileExistsError):
                    os.link(content, pin)
                if not os.path.exists(content):  # evicted this very moment by another manager
                    os.link(pin, content)
            except FileNotFoundError:
                continue
            if in_memory and not os.path.exists(path):
                self._link(content, key)
            return True
        return False

    def unpin(self, key: bytes) -> None:
        """Let others evict a content."""
        for folder in filter(None, self._pins.values()):
            _remove_file(os.path.join(folder, key.hex()))

    def unpin_all(self) -> None:
        """Drop all pins of this manager."""
        for folder in filter(None, self._pins.values()):
            shutil.rmtree(folder, ignore_errors=True)
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def open(self, key: bytes) -> int:
        """Open a content for reading.

        Raises:
            OSError: it is not here, or cannot be read.
        """
        return os.open(object_path(self.root, key), os.O_RDONLY)

    def discard(self, key: bytes) -> None:
        """Remove a content, unless something else on this node uses it."""
        for folder in filter(None, self._folders.values()):
            content = os.path.join(folder, key.hex())
            with contextlib.suppress(FileNotFoundError):
                if os.lstat(content).st_nlink == 1 and not os.path.islink(content):
                    self._remove(content, in_memory=folder == self._folders[True])

    def remove_changed(self, key: bytes) -> None:
        """Remove a content to which a task has written; who has it open or linked keeps the changed bytes."""
        self.unpin(key)
        for in_memory, folder in self._folders.items():
            if folder:
                self._remove(os.path.join(folder, key.hex()), in_memory=in_memory)

    def evict(self, limit: int, memory_limit: int, now: float) -> Evicted:
        """Remove contents that nothing uses, those unused for longest first, until few enough bytes are left.

        Args:
            limit: bytes on disk that may stay.
            memory_limit: the same in memory.
            now: Unix time.
        """
        self.remove_killed()
        left = removed = 0
        for in_memory, most in ((False, limit), (True, memory_limit)):
            found = list(self._contents(self._folders[in_memory]))
            size = sum(state.st_size for _, state in found)
            for path, state in sorted(found, key=lambda each: each[1].st_atime):
                if size <= most:
                    break
                if _is_unused(path, now):  # as it is now: another manager may have begun to use it since
                    self._remove(path, in_memory=in_memory)
                    size, removed = size - state.st_size, removed + 1
            left += size
        return Evicted(left, removed)

    def remove_killed(self) -> None:
        """Remove the pins of managers that were killed, and what was on its way to them."""
        for in_memory, pins in self._pins.items():
            if not pins:
                continue
            way = self._folders[True] if in_memory else partial_folder(self.root)
            for owner in os.listdir(os.path.dirname(pins)):
                if owner == self._owner or not _remove_unlocked(os.path.join(os.path.dirname(pins), owner)):
                    continue
                logger.warning("removed the pins of manager %s, which was killed", owner)
                for name in os.listdir(way):
                    if name.endswith((f".{owner}", f".{owner}.link")):
                        _remove_file(os.path.join(way, name))

    @staticmethod
    def _contents(folder: str) -> Iterator[tuple[str, os.stat_result]]:
        if not folder:
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if "." in entry.name or not entry.is_file(follow_symlinks=False):
                    continue  # on its way here, a link, or a folder of pins
                with contextlib.suppress(FileNotFoundError):
                    yield entry.path, entry.stat(follow_symlinks=False)

    def _remove(self, content: str, *, in_memory: bool) -> None:
        _remove_file(content)
        if in_memory:
            link = os.path.join(self._folders[False], os.path.basename(content))
            if os.path.islink(link):
                _remove_file(link)

    def _link(self, content: str, key: bytes) -> None:
        """Let the path of *key* lead to *content*, in one step."""
        made = os.path.join(partial_folder(self.root), f"{key.hex()}.{self._owner}.link")
        _remove_file(made)
        os.symlink(content, made)
        os.rename(made, object_path(self.root, key))


def _make_locked(folder: str) -> int:
    """Make *folder*; return a descriptor that locks it, until its owner ends or is killed."""
    while True:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(folder).st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)  # another manager has removed it, before it was locked


def _remove_unlocked(folder: str) -> bool:
    """Remove *folder* if its owner lives no more; return whether that is so."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # it is locked
        return False
    else:
        return True
    finally:
        os.close(lock)


def _is_unused(path: str, now: float) -> bool:
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return False
    used = state.st_atime
    if "-" in os.path.basename(path):  # a value that a worker writes; of a content, the time of change may be any
        used = max(used, state.st_mtime)
    return state.st_nlink == 1 and used < now - _FRESH


def _remove_file(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
