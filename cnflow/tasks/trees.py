"""Packs a folder, or the files that match a pattern, into a tar stream, and unpacks it again; runs at both ends.

::

    folder  a/ b/c.txt l -> b/c.txt   ──pack──>  tar: names below the folder, sorted, no owners  ──unpack──>  folder
    pattern out/*/x.csv               ──pack──>  tar: names below `out`, which are those of its matches

One tree has one stream, whoever packs it: its key is that of the same tree elsewhere. Links, hard links, modes (without
set-uid and the like) and times of change are kept; owners and what is no file, folder or link are not.

A link that leads out of the folder, or is absolute, is refused at both ends, and nothing is unpacked through a link: a
stream cannot write outside of its folder. A file is there whole or not at all; others in the folder stay.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
from glob import glob, has_magic
from typing import IO, TYPE_CHECKING, NamedTuple, Optional

from cnflow.errors import StagingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 1024 * 1024
_MODES = 0o777


class Pattern(NamedTuple):
    """A pattern of `glob.glob`, split."""

    base: str
    """Folder without special characters; empty for the current one."""

    rest: str
    """Pattern below it."""


def split_pattern(pattern: str) -> Pattern:
    """Split *pattern* before its first part with a special character; before its last part if there is none."""
    parts = pattern.split("/")
    first = next((number for number, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    return Pattern("/".join(parts[:first]) or ("/" if first else ""), "/".join(parts[first:]))


def matches(pattern: str) -> list[str]:
    """Paths of the files and folders that match *pattern*, below its base, sorted."""
    base, rest = split_pattern(pattern)
    found = glob(os.path.join(_escaped(base), rest), recursive=True)
    return sorted(os.path.relpath(path, base or ".") for path in found)


def pack_folder(folder: str, file: IO[bytes]) -> None:
    """Write *folder* to *file*.

    Raises:
        StagingError: it holds a link that leads out of it, or a socket, device or pipe; names it.
        OSError: something cannot be read.
    """
    _pack(folder, _names_below(folder, ""), file)


def pack_matches(pattern: str, file: IO[bytes]) -> int:
    """Write what matches *pattern* to *file*, folders with all that they hold; return the number of matches.

    Raises:
        StagingError, OSError: as `pack_folder`.
    """
    base = split_pattern(pattern).base or "."
    found = matches(pattern)
    names: set[str] = set()
    for name in found:
        names.add(name)
        if os.path.isdir(os.path.join(base, name)) and not os.path.islink(os.path.join(base, name)):
            names.update(_names_below(base, name))
    _pack(base, sorted(names), file)
    return len(found)


def unpack(file: IO[bytes], folder: str) -> None:
    """Unpack the stream *file* into *folder*, which is made if it is missing.

    Raises:
        StagingError: the stream is damaged, or has a name or a link that leads out of *folder*; names it.
        OSError: something cannot be written.
    """
    os.makedirs(folder, exist_ok=True)
    later: list[tuple[str, tarfile.TarInfo]] = []
    turning: list[tuple[str, tarfile.TarInfo]] = []
    try:
        with tarfile.open(fileobj=file, mode="r|") as tar:
            for member in tar:
                path = _place(folder, member)
                if member.isdir():
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(path)
                    os.chmod(path, stat.S_IRWXU)
                    later.append((path, member))
                else:
                    _unpack_file(tar, member, path, folder)
                    if member.issym() and _turns(member.linkname):
                        turning.append((path, member))
    except (tarfile.TarError, EOFError) as error:
        raise StagingError(f"{folder} could not be unpacked: {error}") from error
    for path, member in turning:  # only now are the links there that it may go by
        if os.path.islink(path) and _ends_outside(folder, path):
            os.unlink(path)
            raise _leading_out(member.name, member.linkname)
    for path, member in reversed(later):  # a folder's time changes with what is put there, its mode may forbid that
        os.utime(path, (member.mtime, member.mtime))
        os.chmod(path, member.mode & _MODES)


def _unpack_file(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, folder: str) -> None:
    part = os.path.join(
        os.path.dirname(path), f".cnflow-{os.urandom(6).hex()}.part"
    )  # any name may be as long as allowed
    try:
        if member.issym():
            os.symlink(member.linkname, part)
            os.utime(part, (member.mtime, member.mtime), follow_symlinks=False)
        elif member.islnk():
            os.link(_path_of(folder, member.linkname), part, follow_symlinks=False)
        else:
            source = tar.extractfile(member)
            assert source is not None  # it is a regular file
            with open(part, "wb") as target:
                _copy(source, target, member.size)
            os.chmod(part, member.mode & _MODES)
            os.utime(part, (member.mtime, member.mtime))
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # also where both were names of one file, which a rename leaves


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        data = source.read(min(_CHUNK, size))
        if not data:
            raise EOFError("the stream ended too early")
        target.write(data)
        size -= len(data)


def _place(folder: str, member: tarfile.TarInfo) -> str:
    """Path for *member*; its folders are there.

    Raises:
        StagingError: it would lie outside of *folder*, or be written through a link.
    """
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise StagingError(f"{member.name!r} is no file, folder or link; it is not unpacked into {folder}.")
    path = _path_of(folder, member.name)
    os.makedirs(os.path.dirname(path), exist_ok=True)  # a pattern's matches have no members for their folders
    if member.isdir() and os.path.islink(path):
        raise StagingError(f"{member.name!r} is not unpacked into {folder}: {path} is a link.")
    if member.issym() and _leads_out(member.name, member.linkname):
        raise _leading_out(member.name, member.linkname)
    return path


def _path_of(folder: str, name: str) -> str:
    """Path of *name* in *folder*.

    Raises:
        StagingError: it would lie outside, or behind a link.
    """
    *parents, last = name.split("/")
    if name.startswith("/") or {"", ".", ".."} & {*parents, last}:
        raise StagingError(f"{name!r} is not unpacked: it would lie outside of {folder}.")
    path = folder
    for part in parents:
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise StagingError(f"{name!r} is not unpacked into {folder}: {path} is a link.")
    return os.path.join(path, last)


def _pack(folder: str, names: Sequence[str], file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in names:
            path = os.path.join(folder, name)
            member: Optional[tarfile.TarInfo] = tar.gettarinfo(path, arcname=name)
            if member is None or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
                raise StagingError(f"{path} is no file, folder or link, and cannot be sent. Remove it.")
            if member.issym() and (
                _leads_out(name, member.linkname) or (_turns(member.linkname) and _ends_outside(folder, path))
            ):
                raise _leading_out(path, member.linkname)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mode &= _MODES
            if member.isreg():
                with open(path, "rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)


def _names_below(folder: str, start: str) -> list[str]:
    """Names, relative to *folder*, of all that is below its subfolder *start*: sorted, folders before their content."""
    return sorted(_walk(folder, start), key=lambda name: name.split("/"))


def _walk(folder: str, start: str) -> Iterator[str]:
    rest = [start]
    while rest:
        inside = rest.pop()
        with os.scandir(os.path.join(folder, inside)) as entries:
            for entry in entries:
                name = f"{inside}/{entry.name}" if inside else entry.name
                yield name
                if entry.is_dir(follow_symlinks=False):
                    rest.append(name)


def _leads_out(name: str, target: str) -> bool:
    """Return True if the link *name* to *target* leads out of the folder that *name* is relative to; see `_turns`."""
    if target.startswith("/"):
        return True
    return os.path.normpath(os.path.join(os.path.dirname(name), target)).split("/", 1)[0] == ".."


def _turns(target: str) -> bool:
    """Return True if *target* has ``..`` after a name: that may be another link, from whose end it goes up."""
    parts = [part for part in target.split("/") if part not in {"", "."}]
    return any(before != ".." and part == ".." for before, part in zip(parts, parts[1:]))


def _ends_outside(folder: str, path: str) -> bool:
    """Return True if the link at *path* leads out of *folder*, by others."""
    real, inside = os.path.realpath(path), os.path.realpath(folder)
    return real != inside and not real.startswith(inside.rstrip("/") + "/")


def _leading_out(name: str, target: str) -> StagingError:
    return StagingError(
        f"The link {name!r} leads to {target!r}, out of its folder. Only links within a folder are moved with it: "
        "replace it by a relative one, or by what it leads to."
    )


def _escaped(folder: str) -> str:
    from glob import escape

    return escape(folder)
