"""Memory of a value that the driver has put: one anonymous file, which other processes of this machine can map.

::

    Payload ──written by two threads──> file without a name ──map, read-only──> values that are loaded from it
                                          └── /proc/PID/fd/N ──> a manager of this machine links it into its area

So nothing is copied to workers of this machine, and nothing is left once no process has it open, however those end. The
memory of a value that was in this process alone is used again for the next one of its size, which need not be cleared.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from cnflow.tasks import value_files
from cnflow.tasks.file_identity import identity_of
from cnflow.wire.blob_digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.serialization import Payload

_THREADS_FROM = 8 * 2**20
"""Bytes from which a second thread shares the writing."""

_PIECE = 2**30
_COPY_PIECE = 8 * 2**20
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - nobody else can open the file
_SPARE = 64 * 2**20
"""Bytes of shared memory that are left to others."""

_REUSED = 256 * 2**20
"""Bytes that are kept for the next values, at most."""


class _Segment(NamedTuple):
    """A file without a name, and its map."""

    descriptor: int
    map: mmap.mmap
    forks: int
    """Number of forks before it was made: a child that was forked later has it, too."""


class _State:
    """What outlives a `ValueMemory`, for the end of its segment."""

    is_shared = False
    """Another process may have it."""


_lock = threading.Lock()
_free: list[_Segment] = []
"""Segments without a value, oldest first."""

_forks = 0


def _on_fork() -> None:
    global _forks  # noqa: PLW0603 - of this process
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_on_fork, after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]  # noqa: SLF001 - another thread may have held it

_gone: deque[tuple[_Segment, _State]] = deque()
"""Those of values that are gone, and that are not free yet."""


class ValueMemory:
    """Bytes of one value, in the layout of `cnflow.tasks.value_files`. Safe from any thread.

    Args:
        payload: the pickled value; its buffers are copied.

    Attributes:
        view: the whole, read-only.

    Raises:
        OSError: there is no room.
    """

    def __init__(self, payload: Payload) -> None:
        chunks = value_files.chunks_of(payload)
        size = value_files.size_of(chunks)
        segment = _take(size)
        if segment is None:
            segment = _new_segment(chunks, size)
        else:
            _copy(segment.map, chunks)
        self._segment = segment
        self.view = memoryview(segment.map).toreadonly()
        self._state = _State()
        weakref.finalize(self, _retire, segment, self.view, self._state).atexit = False
        self._lock = threading.Lock()
        self._key = b""

    @property
    def key(self) -> bytes:
        """Digest of the bytes; computed when it is first asked for."""
        with self._lock:
            if not self._key:
                self._key = digest_of(self.view)
            return self._key

    def share(self) -> str:
        """Return the path at which processes of this machine find the file, and its identity."""
        self._state.is_shared = True
        descriptor = self._segment.descriptor
        return f"/proc/{os.getpid()}/fd/{descriptor} {identity_of(descriptor)}"


def _take(size: int) -> _Segment | None:
    """Return a free segment of *size* bytes that nothing refers to; None if there is none."""
    found: _Segment | None = None
    with _lock:
        for segment in _free:
            if len(segment.map) == size and segment.forks == _forks and _has_no_user(segment):
                _free.remove(segment)
                found = segment
                break
    _free_gone()  # a finalizer may have run meanwhile
    return found


def _has_no_user(segment: _Segment) -> bool:
    """Return True if no array of a value that was loaded from *segment* is left."""
    try:
        segment.map.resize(len(segment.map))
    except BufferError:
        return False  # there are views of it
    return True


def _new_segment(chunks: Sequence[memoryview], size: int) -> _Segment:
    descriptor = _nameless_file(size)
    try:
        _write(descriptor, chunks)
        flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)  # its pages are there: cheaper all at once
        return _Segment(descriptor, mmap.mmap(descriptor, size, flags=flags), _forks)
    except BaseException:
        os.close(descriptor)
        raise


def _copy(target: mmap.mmap, chunks: Sequence[memoryview]) -> None:
    """Copy *chunks* to memory that is there; in pieces, between which other threads get the interpreter's lock."""
    position = 0
    for chunk in chunks:
        for start in range(0, len(chunk), _COPY_PIECE):
            piece = chunk[start : start + _COPY_PIECE]
            target[position : position + len(piece)] = piece
            position += len(piece)


def _retire(segment: _Segment, view: memoryview, state: _State) -> None:
    """Keep the segment of a value that is gone for the next one, or close it. A finalizer: it runs at any point."""
    view.release()
    _gone.append((segment, state))
    _free_gone()


def _free_gone() -> None:
    """Sort the segments of values that are gone. Never waits: the thread that has the lock may be this one."""
    while _gone and _lock.acquire(blocking=False):
        closed: list[_Segment] = []
        try:
            while _gone:
                segment, state = _gone.popleft()
                (closed if state.is_shared or segment.forks != _forks else _free).append(segment)
            while sum(len(each.map) for each in _free) > _REUSED:
                closed.append(_free.pop(0))
        finally:
            _lock.release()
        for each in closed:
            os.close(each.descriptor)  # its map ends with the last view of it


def _nameless_file(size: int) -> int:
    """Open a new file in memory that has no name; one that can be linked, where shared memory has room for it."""
    if hasattr(os, "O_TMPFILE"):
        with contextlib.suppress(OSError):
            state = os.statvfs(_SHARED_MEMORY)
            if state.f_bavail * state.f_frsize > size + _SPARE:
                return os.open(_SHARED_MEMORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    if hasattr(os, "memfd_create"):
        return os.memfd_create("cnflow-value", os.MFD_CLOEXEC)
    descriptor, path = tempfile.mkstemp(prefix="cnflow-value-")
    os.unlink(path)  # noqa: PTH108 - the path is a string
    return descriptor


def _write(descriptor: int, chunks: Sequence[memoryview]) -> None:
    """Write *chunks* to the empty file; two threads do it together where it is large."""
    places: list[tuple[int, memoryview]] = []
    position = 0
    for chunk in chunks:
        places.append((position, chunk))
        position += len(chunk)
    if position < _THREADS_FROM:
        _write_at(descriptor, places)
        return
    first, second = _halves(places, position // 2)
    failures: list[BaseException] = []
    helper = threading.Thread(target=_write_second, args=(descriptor, second, failures), name="cnflow-put")
    helper.start()
    try:
        _write_at(descriptor, first)
    finally:
        helper.join()
    if failures:
        raise failures[0]


def _halves(
    places: Sequence[tuple[int, memoryview]], middle: int
) -> tuple[list[tuple[int, memoryview]], list[tuple[int, memoryview]]]:
    before: list[tuple[int, memoryview]] = []
    after: list[tuple[int, memoryview]] = []
    for position, chunk in places:
        split = min(max(middle - position, 0), len(chunk))
        before.append((position, chunk[:split]))
        after.append((position + split, chunk[split:]))
    return before, after


def _write_second(descriptor: int, places: Sequence[tuple[int, memoryview]], failures: list[BaseException]) -> None:
    try:
        _write_at(descriptor, places)
    except OSError as error:
        failures.append(error)


def _write_at(descriptor: int, places: Sequence[tuple[int, memoryview]]) -> None:
    for position, chunk in places:
        at, rest = position, chunk
        while rest:
            written = os.pwrite(descriptor, rest[:_PIECE], at)
            at, rest = at + written, rest[written:]
