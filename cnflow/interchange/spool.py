"""Messages that wait for a driver that is away: a queue in files, so that results of hours take no memory.

::

    put ──> last segment            a segment is full: the next one begins
    take <── first segment          read to its end: removed
    put, the disk is full ──> kept in memory, behind all that is in files; `is_full` until they are taken

A message is a list of frames; in a file, the count of its frames, their lengths, and their bytes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

_COUNT = struct.Struct("<I")
_SIZE = 8
SEGMENT = 64 * 2**20
"""Bytes from which a file is followed by another one, so that space is free again as soon as it was read."""


class _Segment:
    """One file, which is written at its end and read from its beginning; not buffered, so that errors show at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._read = self.written = 0

    def append(self, data: bytes) -> None:
        """Write *data*; what was written of data that found no room is written over by the next."""
        at = 0
        with memoryview(data) as view:
            while at < len(data):
                at += os.pwrite(self._descriptor, view[at:], self.written + at)
        self.written += len(data)

    def next_message(self) -> list[bytes]:
        """Read the first message that was not read."""
        (count,) = _COUNT.unpack(self._take(_COUNT.size))
        lengths = struct.unpack(f"<{count}Q", self._take(count * _SIZE))
        return [self._take(length) for length in lengths]

    def _take(self, length: int) -> bytes:
        data = os.pread(self._descriptor, length, self._read)
        if len(data) != length:
            raise OSError(f"{self._path} has lost bytes")
        self._read += length
        return data

    @property
    def is_read(self) -> bool:
        """True if all messages were read."""
        return self._read == self.written

    def remove(self) -> None:
        """Close and delete the file."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)


class Spool:
    """The queue; the module has a picture.

    Args:
        folder: private one; made when it is needed.
        most: bytes in files.

    Attributes:
        bytes_on_disk: size of all messages that wait in files.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._segments: deque[_Segment] = deque()
        self._numbers = 0
        self._on_disk = 0
        """Messages in files."""

        self._rest: deque[list[Any]] = deque()
        """Messages that found no room on the disk."""

        self.bytes_on_disk = 0

    def __len__(self) -> int:
        return self._on_disk + len(self._rest)

    @property
    def is_full(self) -> bool:
        """No more should come: the limit is reached, or the disk is full."""
        return bool(self._rest) or self.bytes_on_disk >= self._most

    def put(self, frames: Sequence[Any]) -> None:
        """Add a message."""
        if self._rest:
            self._rest.append(list(frames))
            return
        parts = [bytes(getattr(frame, "buffer", frame)) for frame in frames]
        data = b"".join([_COUNT.pack(len(parts)), struct.pack(f"<{len(parts)}Q", *map(len, parts)), *parts])
        try:
            self._last_segment().append(data)
        except OSError as error:
            logger.warning("results for the driver cannot be kept on disk, and no more tasks are started: %s", error)
            self._rest.append(list(frames))
            return
        self._on_disk += 1
        self.bytes_on_disk += len(data)

    def take(self) -> list[Any]:
        """Remove and return the first message; there is one."""
        if not self._on_disk:
            return self._rest.popleft()
        while self._segments[0].is_read:
            self._segments.popleft().remove()
        frames = self._segments[0].next_message()
        self._on_disk -= 1
        self.bytes_on_disk -= _COUNT.size + sum(_SIZE + len(frame) for frame in frames)
        if not self._on_disk:
            self.close()
        return frames

    def close(self) -> None:
        """Remove all files, and their folder."""
        while self._segments:
            self._segments.popleft().remove()
        with contextlib.suppress(OSError):  # there is none, or it holds files of others
            self._folder.rmdir()

    def _last_segment(self) -> _Segment:
        if not self._segments or self._segments[-1].written >= SEGMENT:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._segments.append(_Segment(self._folder / str(self._numbers)))
            self._numbers += 1
        return self._segments[-1]
