"""Ids of files, for keys: by path, size and time of change, or by content."""

from __future__ import annotations

import contextlib
import hashlib
import os
from contextvars import ContextVar
from typing import TYPE_CHECKING

from cnflow.dataflow.memo.values import encode, id_for_memo
from cnflow.model.file import File
from cnflow.tasks.trees import matches, split_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1024 * 1024

_by_content = ContextVar("by_content", default=False)


def id_of_file(path: str | os.PathLike[str], *, by_content: bool = False, output_ref: bool = False) -> bytes:
    """Id of the file or folder at *path*; reads nothing but metadata by default.

    Functions that users register with `id_for_memo` may call it for types of their own.

    Args:
        path: absolute, or relative to the working directory.
        by_content: identify the file by every byte instead of by path, size and time of change: slower, and equal for
            a copy.
        output_ref: the file is yet to be made; only its path counts.
    """
    where = os.path.abspath(path)  # noqa: PTH100 - also normalises `..`, which Path.absolute does not
    if output_ref:
        return encode(("output", where))
    found = [_state_of(where, file, by_content=by_content) for file in sorted(_files_under(where))]
    return encode(("content", found) if by_content else ("file", where, found))


@contextlib.contextmanager
def identify_files(*, by_content: bool) -> Iterator[None]:
    """Identify each `File` by its content, or by path, size and time of change, in this block and thread."""
    token = _by_content.set(by_content)
    try:
        yield
    finally:
        _by_content.reset(token)


@id_for_memo.register(File)
def _id_of_file_object(file: File, output_ref: bool = False) -> bytes:  # noqa: FBT001, FBT002 - the hook's signature
    if file.scheme != "file" or file.local_path is not None:  # each task has another path for its staged copy
        promised = () if output_ref or file.sha256 is None else (file.sha256,)
        return encode(("elsewhere", file.url, None if output_ref else _content_of(file), *promised))
    if file.glob and not output_ref:
        return _id_of_matches(file.filepath, by_content=_by_content.get())
    return id_of_file(file.filepath, by_content=_by_content.get(), output_ref=output_ref)


def _content_of(file: File) -> bytes | None:
    """Id of what was staged, as far as the driver has it."""
    if file.item is not None:
        return file.item.key
    if file.scheme == "docker":
        return None  # of the image, whose digest is in the key; the driver's own file of that path is another one
    return None if file.local_path is None else id_of_file(file.local_path, by_content=True)


def _id_of_matches(pattern: str, *, by_content: bool) -> bytes:
    """Id of all files that match *pattern*, with their names."""
    pattern = os.path.abspath(pattern)  # noqa: PTH100 - as above
    base = split_pattern(pattern).base
    found = [(name, id_of_file(f"{base}/{name}", by_content=by_content)) for name in matches(pattern)]
    return encode(("matches", "" if by_content else pattern, found))


def _files_under(where: str) -> Iterator[str]:
    if not os.path.isdir(where):  # noqa: PTH112 - strings all the way: paths are many in a folder
        yield where
        return
    for folder, _, names in os.walk(where):
        for name in names:
            yield os.path.join(folder, name)  # noqa: PTH118 - the same


def _state_of(root: str, path: str, *, by_content: bool) -> tuple[object, ...]:
    """Path under *root*, and content or metadata; the number of the error where that cannot be read."""
    name = path[len(root) :]
    try:
        if by_content:
            return name, _hash_of(path)
        status = os.stat(path)  # noqa: PTH116 - the same
    except OSError as error:
        return name, "missing", error.errno
    return name, status.st_size, status.st_mtime_ns


def _hash_of(path: str) -> bytes:
    hasher = hashlib.blake2b(digest_size=32)
    with open(path, "rb") as file:  # noqa: PTH123 - the same
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.digest()
