"""Files of items in the area of a node: written, verified, read and pinned by one thread, in the order of requests.

::

    write ──> partial ── all bytes are here, and their digest is the key ──> object, pinned ──> Stored
                 │
                 ├── other bytes, no room ──> removed ──> Failed
                 └── drop ──> removed
    adopt: a file that a task has left ──> object, pinned ──> Stored, Failed
    pin ──> is it here already? ──> Found, Missing                   read ──> Read
    unpin ──> may be evicted, by this manager or another one of the node

Order is all that this relies on: what is released and used again is pinned after it was unpinned. A full queue
(`is_full`) is the manager's sign to ask for no more, so that a slow disk fills no memory and holds up no heartbeat.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import logging
import os
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

from cnflow.manager.items.objects import Objects
from cnflow.model.item import ItemForm
from cnflow.tasks.area import Area, partial_folder, unfinished_prefix
from cnflow.wire.blob_digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection

    from cnflow.manager.items.needs import Write
    from cnflow.manager.node.area import NodeArea

logger = logging.getLogger(__name__)

_MOST_QUEUED = 16 * 2**20
"""Bytes that wait to be written from which no more are asked for."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

_EVICTIONS_PER_LIMIT = 16
"""The area is looked through each time that a part of their limit was written."""


class Stored(NamedTuple):
    """A content is here, whole and verified, and pinned."""

    key: bytes


class Found(NamedTuple):
    """A content that was to be pinned is here, and is."""

    key: bytes


class Missing(NamedTuple):
    """A content that was to be pinned is not here."""

    key: bytes


class Failed(NamedTuple):
    """A content could not be stored."""

    key: bytes
    reason: str


class Read(NamedTuple):
    """Bytes that were asked for; None with the words of the failure."""

    token: Any
    data: Optional[bytes]
    reason: str = ""


Report = Union[Stored, Found, Missing, Failed, Read]


class _Partial:
    """File that grows to a content."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.digest = Digest()
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)

    def append(self, data: memoryview) -> None:
        """Write *data*."""
        while len(data):
            written = os.write(self._descriptor, data)
            self.digest.update(data[:written])
            data = data[written:]

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class ItemFiles:
    """The files; the module has a picture. Its methods return at once.

    Args:
        area: folders of the node.

    Attributes:
        source: descriptor that is readable while `take` has reports.
    """

    def __init__(self, area: NodeArea) -> None:
        self._area = area
        self._made: Optional[Objects] = None
        self._limits = area.limit, area.memory_limit
        self._jobs: queue.SimpleQueue[Optional[Callable[[], None]]] = queue.SimpleQueue()
        self._reports: deque[Report] = deque()
        self._partial: dict[bytes, _Partial] = {}
        self._queued_bytes = 0
        self._written = 0
        """Bytes of contents since the last eviction."""

        self._lock = threading.Lock()
        self.source, self._wake = os.pipe()
        for descriptor in (self.source, self._wake):
            os.set_blocking(descriptor, False)
        self._is_notified = False
        self._thread: Optional[threading.Thread] = None
        self._lacks_thread = False

    @property
    def is_used(self) -> bool:
        """True once something was ordered."""
        return self._thread is not None

    @property
    def is_full(self) -> bool:
        """True while so much waits to be written that nothing more should be asked for; `source` reports its end."""
        return self._queued_bytes >= _MOST_QUEUED

    def write(self, order: Write, data: memoryview) -> None:
        """Append *data* to the partial file of a content."""
        with self._lock:
            self._queued_bytes += len(data)
        self._put(lambda: self._append(order, data))

    def make_empty(self, key: bytes) -> None:
        """Store the content of no bytes."""
        self._put(lambda: self._make_empty(key))

    def adopt(self, key: bytes, size: int, path: str) -> None:
        """Take the file at *path*, which a task has left, as a content, and keep it until `unpin`."""
        self._put(lambda: self._report(self._adopt(key, size, path)))

    def discard_file(self, path: str) -> None:
        """Remove a file that a task has left and that nobody wants."""
        self._put(lambda: _unlink(path))

    def remove_changed(self, key: bytes) -> None:
        """Remove a content to which a task has written."""
        self._put(lambda: self._objects.remove_changed(key))

    def pin(self, key: bytes, size: int, place: str = "") -> None:
        """Keep a content until `unpin`, if it is in the area, or in the nameless file at *place*."""
        self._put(lambda: self._report(self._pin(key, size, place)))

    def unpin(self, key: bytes) -> None:
        """Let a content be evicted."""
        self._put(lambda: self._objects.unpin(key))

    def discard(self, key: bytes) -> None:
        """Remove a content that nothing on this node uses."""
        self._put(lambda: self._objects.discard(key))

    def drop(self, key: bytes) -> None:
        """Remove what has arrived of a content."""
        self._put(lambda: self._drop(key))

    def remove_leftovers(self, pid: int, announced: Collection[str] = ()) -> None:
        """Remove the folders of tasks whose worker was killed, and what worker *pid* was about to leave.

        Args:
            pid: of a process that has ended.
            announced: paths of files that it has left.
        """
        if self._area.root:
            self._put(lambda: Area(self._area.root).remove_leftovers())
            self._put(lambda: self._remove_unfinished(pid, announced))

    def evict(self) -> None:
        """Remove all contents that nothing uses."""
        self._put(lambda: self._evict(0, 0))

    def read(self, key: bytes, offset: int, length: int, token: Any) -> None:  # noqa: ANN401 - the caller's
        """Read bytes of a content; `Read` follows with *token*."""
        self._put(lambda: self._report(self._read(key, offset, length, token)))

    def take(self) -> list[Report]:
        """Remove and return what has happened since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.source, 4096)
        self._is_notified = False  # before the reports are taken: one that comes meanwhile notifies again
        taken: list[Report] = []
        while self._reports:
            taken.append(self._reports.popleft())
        return taken

    def close(self) -> None:
        """Finish what was ordered, and end the thread."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()
        else:
            self._run()
        for key in list(self._partial):  # the area stays where other managers use it
            self._drop(key)
        if self._made is not None:
            self._made.unpin_all()
        os.close(self.source)
        os.close(self._wake)

    def start(self) -> None:
        """Start the thread if something is ordered: most managers have no items.

        Where none can be started now, the orders wait for the next call: a limit on processes may pass.
        """
        if self._thread is not None or self._jobs.empty():
            return
        thread = threading.Thread(target=self._run, name="cnflow-items", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            if not self._lacks_thread:
                logger.warning("files of tasks wait until a thread can be started: %s", error)
            self._lacks_thread = True
            return
        self._thread, self._lacks_thread = thread, False

    def _put(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        self.start()

    # In the thread

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except OSError as error:
                logger.warning("a file of an item: %s", error)
            except Exception:  # a request that fails in an unknown way must not stop all that follow
                logger.exception("an operation on the files of items failed")

    def _report(self, report: Report) -> None:
        self._reports.append(report)
        self._notify()

    def _notify(self) -> None:
        if not self._is_notified:
            self._is_notified = True
            os.write(self._wake, b"\0")

    @property
    def _objects(self) -> Objects:
        """Contents of the node, whose folders are made when they are first needed.

        Raises:
            OSError: they cannot be made.
        """
        if self._made is None:
            if not self._area.root:
                raise FileNotFoundError(errno.ENOENT, "this node has no folder for it; see the log of its block")
            self._made = Objects(self._area.root, self._area.memory, self._area.owner)
        return self._made

    def _remove_unfinished(self, pid: int, announced: Collection[str]) -> None:
        for folder in filter(None, (partial_folder(self._area.root), self._area.memory)):
            for prefix in (f"{pid}-", unfinished_prefix(pid)):
                for path in glob.glob(f"{glob.escape(folder)}/{prefix}*"):
                    if path not in announced:
                        _unlink(path)

    def _make_empty(self, key: bytes) -> None:
        try:
            self._finish(key, 0, _Partial(self._objects.partial(key, in_memory=False)))
        except OSError as error:
            self._report(Failed(key, self._describe(error, 0)))

    def _append(self, order: Write, data: memoryview) -> None:
        with self._lock:
            was_full = self.is_full
            self._queued_bytes -= len(data)
        if was_full and not self.is_full:
            self._notify()
        key = order.key
        try:
            if order.offset == 0:
                self._drop(key)
                in_memory = order.form == ItemForm.VALUE and self._objects.has_memory_for(order.size)
                self._partial[key] = _Partial(self._objects.partial(key, in_memory=in_memory))
            partial = self._partial.get(key)
            if partial is None or partial.digest.size != order.offset:
                return  # of an attempt that was given up
            partial.append(data)
            if partial.digest.size == order.size:
                self._finish(key, order.size, partial)
        except OSError as error:
            self._drop(key)
            self._report(Failed(key, self._describe(error, order.size)))

    def _finish(self, key: bytes, size: int, partial: _Partial) -> None:
        partial.close()
        self._partial.pop(key, None)
        if partial.digest.digest() != key:
            _unlink(partial.path)
            self._report(Failed(key, "other bytes arrived than its digest says: the line, or a disk on the way, errs"))
            return
        try:
            self._written += self._objects.put(partial.path, key, size)
        except OSError:
            _unlink(partial.path)
            raise
        self._report(Stored(key))
        if self._written >= min(self._limits) // _EVICTIONS_PER_LIMIT:
            self._evict(*self._limits)

    def _adopt(self, key: bytes, size: int, path: str) -> Report:
        try:
            self._written += self._objects.put(path, key, size)
        except OSError as error:
            _unlink(path)
            return Failed(key, f"what a task has left cannot be kept: {error}")
        return Stored(key)

    def _pin(self, key: bytes, size: int, place: str) -> Report:
        try:
            if self._objects.pin(key, size):
                return Found(key)
            is_here = bool(place) and self._objects.adopt_nameless(place, key, size)
            return Found(key) if is_here else Missing(key)
        except OSError as error:
            logger.warning("item %s cannot be used as it is: %s", key.hex(), error)
            return Missing(key)

    def _read(self, key: bytes, offset: int, length: int, token: Any) -> Read:  # noqa: ANN401 - the caller's
        try:
            descriptor = self._objects.open(key)
            try:
                data = os.pread(descriptor, length, offset)
                while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
                    data += more
            finally:
                os.close(descriptor)
        except OSError as error:
            return Read(token, None, f"its manager cannot read it: {error}")
        return Read(token, data) if len(data) == length else Read(token, None, "its file has become shorter")

    def _drop(self, key: bytes) -> None:
        partial = self._partial.pop(key, None)
        if partial is not None:
            partial.close()
            _unlink(partial.path)

    def _evict(self, limit: int, memory_limit: int) -> None:
        left = self._objects.evict(limit, memory_limit, time.time())
        self._written = 0
        if left.removed:
            logger.info("removed %d contents that nothing uses; %d bytes are left", left.removed, left.size)

    def _describe(self, error: OSError, size: int) -> str:
        if error.errno in _NO_ROOM:
            return (
                f"{self._area.root} has no room for its {size:,} bytes ({error.strerror}). Make room there, or "
                "set HighThroughputExecutor(working_dir=...) to a folder on a larger disk"
            )
        return f"its {size:,} bytes cannot be written on this node: {error}"


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s cannot be removed: %s", path, error)
