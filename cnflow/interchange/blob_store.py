"""Keeps the arguments' blobs that managers want: in memory up to a limit, in files beyond it.

::

    open ──> room in memory? ──yes──> buffer ───────┐
                   │ no                             ├── write, read ... ──> remove
                   └──> file, its space reserved ───┘
                          └── the disk is full: OSError, for this blob alone

Files are opened for each access: many blobs must not take the descriptors that managers need. No call lasts longer for
a blob of gigabytes: memory is mapped, not filled with zeros, and large files are removed by a thread.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from pathlib import Path

    from cnflow.wire.bulk import BlobId
    from cnflow.wire.pipe import Part

MOST_IN_MEMORY = 256 * 2**20
"""Bytes of all blobs in memory; the others are files."""

_LONG_TO_REMOVE = 64 * 2**20
"""Bytes of a file whose removal takes tens of milliseconds."""


class BlobStore:
    """Bytes of blobs, by their names.

    Args:
        folder: private one, for files; need not exist.
        most_in_memory: bytes.

    Attributes:
        bytes_in_memory: size of all buffers.
        bytes_on_disk: size of all files.
    """

    def __init__(self, folder: Path, most_in_memory: int = MOST_IN_MEMORY) -> None:
        self._folder = folder
        self._most_in_memory = most_in_memory
        self._content: dict[BlobId, Union[mmap.mmap, Path]] = {}
        self._sizes: dict[BlobId, int] = {}
        self.bytes_in_memory = self.bytes_on_disk = 0

    def __len__(self) -> int:
        return len(self._content)

    def __contains__(self, blob: BlobId) -> bool:
        return blob in self._content

    def has_memory_for(self, size: int) -> bool:
        """Return whether a blob of *size* bytes would be kept in memory."""
        return self.bytes_in_memory + size <= self._most_in_memory

    def open(self, blob: BlobId, size: int) -> None:
        """Make room for *blob*.

        Raises:
            OSError: no room on disk; nothing is left of the blob.
        """
        if self.has_memory_for(size):
            self._content[blob] = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self.bytes_in_memory += size
        else:
            self._content[blob] = self._make_file(blob, size)
            self.bytes_on_disk += size
        self._sizes[blob] = size

    def write(self, blob: BlobId, offset: int, data: Part) -> None:
        """Put *data* at *offset*, within the size of the blob.

        Raises:
            OSError: the disk fails; the blob stays, for `remove`.
        """
        content = self._content[blob]
        if isinstance(content, mmap.mmap):
            with memoryview(content) as view:
                view[offset : offset + len(data)] = data
            return
        descriptor = os.open(content, os.O_WRONLY)
        try:
            written = os.pwrite(descriptor, data, offset)
        finally:
            os.close(descriptor)
        if written != len(data):
            raise OSError(f"{written} of {len(data)} bytes were written to {content}")

    def read(self, blob: BlobId, offset: int, length: int) -> Part:
        """Bytes of *blob*, which must not be changed.

        Raises:
            OSError: the disk fails.
        """
        content = self._content[blob]
        if isinstance(content, mmap.mmap):
            return memoryview(content)[offset : offset + length]
        descriptor = os.open(content, os.O_RDONLY)
        try:
            data = os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
        if len(data) != length:
            raise OSError(f"{len(data)} of {length} bytes were read from {content}")
        return data

    def remove(self, blob: BlobId) -> None:
        """Drop *blob*; does nothing if it is not here."""
        content, size = self._content.pop(blob, None), self._sizes.pop(blob, 0)
        if isinstance(content, mmap.mmap):
            self.bytes_in_memory -= size
        elif content is not None:
            self.bytes_on_disk -= size
            if size < _LONG_TO_REMOVE:
                content.unlink(missing_ok=True)
            else:  # a blob that comes back has another name
                threading.Thread(target=content.unlink, args=(True,), name="cnflow-unlink").start()

    def clear(self) -> None:
        """Drop all blobs."""
        for blob in list(self._content):
            self.remove(blob)

    def _make_file(self, blob: BlobId, size: int) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._folder / blob.hex()
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)  # a full disk shows now, and not in the middle
        except OSError:
            file.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return file
