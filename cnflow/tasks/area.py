"""Area of a manager on its node: a folder with contents that its tasks share, each under the digest of its bytes.

::

    root/objects/abcd...     content by its key, or a link to it in memory; only the manager puts and removes them
    root/partial/            contents on their way: arriving, or left by a task
    root/downloads/0123...   what `fetch_once` got, by a name of the caller's; evicted here
    root/tasks/NAME/         folder of one task, locked by its worker; objects are linked into it

The manager sees to it that a task's objects are there for as long as the task runs. Workers take turns by locks of
files, which the system releases when a process is killed: so the folder of a killed task is found by its free lock.

Python 3.8 and the standard library only: workers use it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "CNFLOW_AREA"
"""Variable of workers with the root of their manager's area."""

MEMORY_VARIABLE = "CNFLOW_AREA_MEMORY"
"""Variable of workers with a folder in shared memory, for values; unset where there is none."""

_READ_ONLY = 0o555  # and executable: a download may be a program
_SPARE = 64 * 2**20
"""Bytes of shared memory that are left to others."""

DOWNLOADS_LIMIT = 16 * 2**30
DOWNLOADS_AGE = 24 * 3600.0
"""Bytes of downloads that nothing uses, and seconds after its last use, for which one stays."""


def object_path(root: str, key: bytes) -> str:
    """Path of the object *key* in the area at *root*."""
    return f"{root}/objects/{key.hex()}"


def partial_folder(root: str) -> str:
    """Path of the folder for contents on their way in the area at *root*."""
    return f"{root}/partial"


def make_partial_folder(root: str) -> str:
    """Make the folder for contents on their way, which the manager makes when it needs it; return its path.

    Raises:
        OSError: there is no room for it.
    """
    os.makedirs(partial_folder(root), mode=0o700, exist_ok=True)
    return partial_folder(root)


def root_of_worker() -> str:
    """Return the root of the area of this worker's manager; empty without one."""
    return os.environ.get(VARIABLE, "")


def locate(key: bytes) -> str:
    """Return the path of the object *key* on this node.

    Raises:
        FileNotFoundError: the manager's area does not have it.
    """
    root = root_of_worker()
    path = object_path(root, key)
    if not root or not os.path.exists(path):
        raise FileNotFoundError(f"this node has no object {key.hex()} in {root or 'any area: it has none'}")
    return path


def folders_for_values(size: int) -> list[str]:
    """Return folders in which this worker may make the file of a value of *size* bytes, in order of preference."""
    folders = []
    memory, root = os.environ.get(MEMORY_VARIABLE, ""), root_of_worker()
    if memory:
        with contextlib.suppress(OSError):
            state = os.statvfs(memory)
            if state.f_bavail * state.f_frsize > size + _SPARE:
                folders.append(memory)
    if root:
        with contextlib.suppress(OSError):  # no room there
            folders.append(make_partial_folder(root))
    return folders


def unfinished_prefix(pid: int) -> str:
    """Prefix of the names of files with which worker *pid* begins a value."""
    return f"value-{pid}-"


class _Spare(NamedTuple):
    """Folder of the last task of a process."""

    path: str
    lock: int
    pid: int


_LOCK = ".lock"
_KEPT = frozenset({"in", "out"})
"""Folders in that of a task which are kept with it, and their first few numbered ones."""

_spare: dict[str, _Spare] = {}
"""By the root of the area: folder of the last task, empty."""


class Area:
    """Area at *root*, as workers use it. Safe from any process of the node.

    Args:
        root: absolute path.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    # Downloads

    def fetch_once(self, name: bytes, fetch: Callable[[str], None], link: str) -> None:
        """Give what *fetch* writes, to the path that it is called with, the name *link* too; once per *name*.

        Other workers that ask for *name* meanwhile wait. Where *fetch* raises, nothing is left, and the next one tries.

        Args:
            name: digest of all that the content depends on: the URL, and a checksum or the run.
            fetch: writes the whole file, or raises.
            link: path for this task. It must not be written to: the file is that of other tasks as well.
        """
        path = f"{self.root}/downloads/{name.hex()}"
        _make_folder_of(path)
        _make_folder_of(link)
        with _lock(f"{path}.lock"):
            if not _is_unchanged(path):
                part = f"{path}.part"
                try:
                    self.evict_downloads()
                    fetch(part)
                    os.chmod(part, _READ_ONLY)
                    os.rename(part, path)
                    _write_stamp(path)
                finally:
                    _remove_file(part)
            os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))
            link_object(path, link)

    def evict_downloads(self, limit: int = DOWNLOADS_LIMIT, age: float = DOWNLOADS_AGE) -> int:
        """Remove downloads that no task uses, those unused for longest first, and return their number.

        Args:
            limit: bytes that may stay.
            age: seconds after its last use for which one may stay.
        """
        found = [(entry.stat(), entry.path) for entry in _entries(f"{self.root}/downloads") if "." not in entry.name]
        total = sum(state.st_size for state, _ in found)
        removed = 0
        for state, path in sorted(found, key=lambda each: each[0].st_atime):
            if total <= limit and state.st_atime >= time.time() - age:
                break
            if state.st_nlink == 1 and _remove_unlocked(path):  # else a task has a link to it
                total, removed = total - state.st_size, removed + 1
        return removed

    # Folders of tasks

    @contextlib.contextmanager
    def task_folder(self) -> Iterator[str]:
        """Return a context whose value is the folder of one task, under a name of its own; its exit empties the folder.

        It is kept for the next task of this process: to remove folders takes longer than all else that a task with
        one file needs.
        """
        spare = _spare.pop(self.root, None)
        name = f"{self.root}/tasks/{os.getpid()}-{time.time_ns():x}"
        if spare is None or spare.pid != os.getpid():
            spare = self._new_folder(name)
        else:
            os.rename(spare.path, name)
            spare = spare._replace(path=name)
        try:
            yield name
        finally:
            if self.root not in _spare and _empty(name):
                _spare[self.root] = spare
            else:
                remove_tree(name)
                os.close(spare.lock)

    def _new_folder(self, name: str) -> _Spare:
        unlocked = f"{self.root}/new/{os.path.basename(name)}"
        _make_folder_of(name)
        os.makedirs(unlocked, mode=0o700)
        lock = os.open(f"{unlocked}/{_LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(unlocked, name)  # only now: who removes leftovers takes an unlocked one for that
        return _Spare(name, lock, os.getpid())

    def remove_leftovers(self) -> None:
        """Remove the folders of tasks whose processes were killed."""
        for folder in _entries(f"{self.root}/tasks"):
            with contextlib.suppress(OSError), open(f"{folder.path}/{_LOCK}", "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(folder.path)


class Stamp(NamedTuple):
    """What tells whether a file was written to."""

    size: int
    changed: int
    inode: int


def stamp_of(path: str) -> Optional[Stamp]:
    """Return the stamp of the file at *path*; None if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


def link_object(path: str, link: str) -> None:
    """Give the object at *path* the name *link* too; a symbolic link across file systems, and to memory."""
    path = os.path.realpath(path)
    try:
        os.link(path, link)
    except OSError:
        os.symlink(path, link)


def remove_tree(path: str) -> None:
    """Remove the folder at *path*, even if a task has made parts of it read-only; links in it are not followed."""
    shutil.rmtree(path, ignore_errors=True)
    if os.path.lexists(path):
        for folder, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path, ignore_errors=True)


def _empty(folder: str) -> bool:
    """Remove what a task has left in its *folder*, but for a few empty folders; return whether that was possible."""
    try:
        for entry in _entries(folder):
            if entry.name == _LOCK:
                continue
            if entry.name not in _KEPT or not entry.is_dir(follow_symlinks=False):
                _remove_entry(entry)
                continue
            for inner in _entries(entry.path):
                if len(inner.name) > 1 or not inner.name.isdigit() or not inner.is_dir(follow_symlinks=False):
                    _remove_entry(inner)
                    continue
                for one in _entries(inner.path):
                    _remove_entry(one)
    except OSError:  # a read-only folder
        return False
    return True


def _remove_entry(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        remove_tree(entry.path)
    else:
        os.unlink(entry.path)


@contextlib.contextmanager
def _lock(path: str) -> Iterator[None]:
    """Exclude other processes; the system releases the lock when the process dies."""
    with open(path, "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write_stamp(path: str) -> None:
    with open(f"{path}.stamp", "w", encoding="ascii") as file:
        file.write(repr(tuple(stamp_of(path) or ())))


def _is_unchanged(path: str) -> bool:
    """Return True if the download at *path* is there and no task has written to it."""
    try:
        with open(f"{path}.stamp", encoding="ascii") as file:
            return file.read() == repr(tuple(stamp_of(path) or (0,)))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: str) -> bool:
    """Remove the download at *path* unless a worker is about to use it; return whether it was removed."""
    try:
        with open(f"{path}.lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_file(path)
            _remove_file(f"{path}.stamp")
    except OSError:  # it is locked
        return False
    return True


def _make_folder_of(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _remove_file(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
