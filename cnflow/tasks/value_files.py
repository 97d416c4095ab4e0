"""Layout of a value that lies in one file, so that whoever loads it maps the file and copies no large buffer.

::

    [ head: mark, number of parts, Python, size of each part ][ body ][ buffer ][ buffer ] ...
                                                               pickle   out of band (PEP 574)

Each part begins at a multiple of 64 bytes, as NumPy and Arrow have it. An array that is loaded is a view of the map,
and keeps that alive. `load` takes any buffer that holds the whole: a map of the file, or bytes.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
from typing import TYPE_CHECKING, Any, Union

from cnflow.wire import serialization

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.wire.serialization import Payload

Buffer = Union[bytes, memoryview]

_HEAD = struct.Struct("<8sI12s")
_MARK = b"cnflowV1"
_ALIGNMENT = 64
_PIECE = 2**30
"""Bytes of one write; Linux takes no more than 2 GiB at a time."""

_MOST_PARTS = 2**20
_ZEROS = bytes(_ALIGNMENT)


class ValueFormatError(ValueError):
    """The bytes are no value in this layout."""


def chunks_of(payload: Payload) -> list[memoryview]:
    """Return the bytes of a value in order, without a copy of its buffers."""
    parts = [memoryview(payload.body), *(memoryview(buffer).cast("B") for buffer in payload.buffers)]
    head = _HEAD.pack(_MARK, len(parts), payload.python.encode())
    head += struct.pack(f"<{len(parts)}Q", *map(len, parts))
    chunks: list[memoryview] = []
    for part in (memoryview(head), *parts):
        chunks.append(part)
        if len(part) % _ALIGNMENT:
            chunks.append(memoryview(_ZEROS)[: -len(part) % _ALIGNMENT])
    return chunks


def size_of(chunks: Sequence[Buffer]) -> int:
    """Return the number of bytes of a value that is given in chunks."""
    return sum(map(len, chunks))


def write(descriptor: int, chunks: Sequence[Buffer]) -> None:
    """Write *chunks* to a new file.

    Raises:
        OSError: there is no room; the file has a part of them.
    """
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(descriptor, view[:_PIECE]) :]


def open_new(folder: str, prefix: str) -> tuple[int, str]:
    """Open a new file in *folder*; return its descriptor, and its path, which is empty while it has no name.

    A process that is killed while it writes to a file without a name leaves nothing: in memory, that is often why it is
    killed. Where the file system has no such files, it has a name that begins with *prefix* at once.

    Raises:
        OSError: it cannot be made.
    """
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), ""
    except (AttributeError, OSError):
        return tempfile.mkstemp(prefix=prefix, dir=folder)


def give_name(descriptor: int, path: str) -> None:
    """Let a file without a name have the name *path*.

    Raises:
        OSError: it cannot, or *path* is there.
    """
    # With a folder's descriptor it is linkat(2), which follows the link to a file without a name.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def map_file(path: Union[str, int], *, private: bool = False) -> memoryview:
    """Map a file, by its path or descriptor.

    Args:
        path: of the file, which may be removed afterwards.
        private: the map can be written to. The file, and others who map it, do not get the change.

    Raises:
        OSError: there is none, or it is empty.
    """
    descriptor = path if isinstance(path, int) else os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if not os.fstat(descriptor).st_size:
            raise ValueFormatError(f"the file {path} is empty")
        return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY if private else mmap.ACCESS_READ))
    finally:
        if descriptor != path:
            os.close(descriptor)


def load(content: Buffer) -> Any:  # noqa: ANN401 - the user's value
    """Load the value that *content* holds; its large buffers are views of that.

    Raises:
        ValueFormatError: it is cut off, or no value.
        Exception: any error that unpickling a user's type raises.
    """
    body, *buffers = parts_of(content)
    return serialization.load(body, buffers)


def python_of(content: Buffer) -> str:
    """Return the minor version whose bytecode is inside; empty when any Python can load the value.

    Raises:
        ValueFormatError: it is no value.
    """
    _check_mark(memoryview(content))
    _, _, python = _HEAD.unpack_from(content)
    return bytes(python).rstrip(b"\0").decode()


def parts_of(content: Buffer) -> list[memoryview]:
    """Return the pickle and the buffers in *content*, as views.

    Raises:
        ValueFormatError: it is cut off, or no value.
    """
    view = memoryview(content)
    _check_mark(view)
    _, count, _ = _HEAD.unpack_from(view)
    table = struct.Struct(f"<{count}Q") if 0 < count <= _MOST_PARTS else None
    if table is None or len(view) < _HEAD.size + table.size:
        raise ValueFormatError("the head of the value is damaged")
    parts: list[memoryview] = []
    start = _aligned(_HEAD.size + table.size)
    for size in table.unpack_from(view, _HEAD.size):
        if start + size > len(view):
            raise ValueFormatError(f"the value is cut off after {len(view)} bytes")
        parts.append(view[start : start + size])
        start = _aligned(start + size)
    return parts


def _check_mark(view: memoryview) -> None:
    if len(view) < _HEAD.size or bytes(view[: len(_MARK)]) != _MARK:
        raise ValueFormatError("these bytes are no value that cnflow has written")


def _aligned(position: int) -> int:
    return position + -position % _ALIGNMENT
