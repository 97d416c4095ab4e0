"""Memory of a value that the driver has put: one anonymous file, which other processes of this machine can map.

::

    Payload ──written by two threads──> file without a name ──map, read-only──> values that are loaded from it
                                          └── /proc/PID/fd/N ──> a manager of this machine links it into its area

So nothing is copied to workers of this machine, and nothing is left once no process has it open, however those end.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import weakref
from typing import TYPE_CHECKING

from cnflow.tasks import value_files
from cnflow.wire.blob_digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.serialization import Payload

_THREADS_FROM = 8 * 2**20
"""Bytes from which a second thread shares the writing."""

_PIECE = 2**30
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - nobody else can open the file
_SPARE = 64 * 2**20
"""Bytes of shared memory that are left to others."""


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
        descriptor = _nameless_file(value_files.size_of(chunks))
        try:
            _write(descriptor, chunks)
            self.view = value_files.map_file(descriptor)
            status = os.fstat(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        weakref.finalize(self, os.close, descriptor)
        self.place = f"/proc/{os.getpid()}/fd/{descriptor} {status.st_dev}:{status.st_ino}"
        """Path at which processes of this machine find it, with device and inode, by which they know that it is it."""

        self._lock = threading.Lock()
        self._key = b""

    @property
    def key(self) -> bytes:
        """Digest of the bytes; computed when it is first asked for."""
        with self._lock:
            if not self._key:
                self._key = digest_of(self.view)
            return self._key


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
