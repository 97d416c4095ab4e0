"""Files that a build may copy: found by the rules of ``.dockerignore``, hashed, and written as a tar or a folder.

::

    collect(folder) ──> [Entry] ── digest_of ──> part of the image's name
                           ├── write_tar ──────> classic builder
                           └── write_folder ───> BuildKit

Owners and times are left out, so that the same content gives the same name and hits the engine's cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cnflow.errors import ImageBuildError
from cnflow.images.dockerignore import Ignored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

IGNORE_FILE = ".dockerignore"
_CHUNK = 2**20


@dataclass(frozen=True)
class Entry:
    """One file, folder or link of a context."""

    name: str
    """Path in the context, with ``/``."""

    source: Path | None = None
    """File or folder here; None where `content` has it."""

    content: bytes = b""
    """Content, or the target of a link."""

    mode: int = stat.S_IFREG | 0o644
    """Kind and permissions, as ``st_mode``."""

    size: int = 0
    """Bytes of a file."""

    changed: float = 0.0
    """Time of its last change, seconds since 1970; no part of the hash."""

    @property
    def kind(self) -> str:
        """``file``, ``folder`` or ``link``."""
        return "link" if stat.S_ISLNK(self.mode) else "folder" if stat.S_ISDIR(self.mode) else "file"


def file_entry(name: str, content: bytes) -> Entry:
    """Return an entry for a file that is made here."""
    return Entry(name, None, content, size=len(content))


def ignored_in(folder: Path, dockerfile: Path | None = None) -> Ignored:
    """Return the patterns of *folder*: of ``DOCKERFILE.dockerignore``, else of its ``.dockerignore``.

    Raises:
        ImageBuildError: the file cannot be read, or has a line that is no pattern.
    """
    beside = [dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}")] if dockerfile else []
    for file in (*beside, folder / IGNORE_FILE):
        try:
            return Ignored(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise ImageBuildError(f"{file} cannot be used: {error}. Correct it, or remove it.") from error
    return Ignored("")


def collect(folder: Path, ignored: Ignored, prefix: str = "") -> list[Entry]:
    """Return all files, folders and links of *folder* that are not ignored, sorted; their names begin with *prefix*.

    Raises:
        ImageBuildError: a file cannot be read.
    """
    try:
        return sorted(_walk(folder, "", ignored, prefix), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(error) from error


def one_file(path: Path, name: str) -> Entry:
    """Return the entry of one file under *name*; a link is followed.

    Raises:
        ImageBuildError: it cannot be read.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(error) from error
    return Entry(name, path, mode=found.st_mode, size=found.st_size, changed=found.st_mtime)


def _walk(folder: Path, below: str, ignored: Ignored, prefix: str) -> Iterator[Entry]:
    with os.scandir(folder / below) as listed:
        for found in listed:
            path = f"{below}{found.name}"
            status = found.stat(follow_symlinks=False)
            mode = status.st_mode
            excluded = ignored.excludes(path)
            if stat.S_ISDIR(mode):
                if not excluded:
                    yield Entry(f"{prefix}{path}", folder / path, mode=mode, changed=status.st_mtime)
                if not (excluded and ignored.excludes_all_below(path)):
                    yield from _walk(folder, f"{path}/", ignored, prefix)
            elif excluded:
                continue
            elif stat.S_ISLNK(mode):
                yield Entry(f"{prefix}{path}", None, os.fsencode(Path(found.path).readlink()), mode=mode)
            elif stat.S_ISREG(mode):
                changed = status.st_mtime
                yield Entry(f"{prefix}{path}", folder / path, mode=mode, size=status.st_size, changed=changed)


def digest_of(entries: Iterable[Entry]) -> str:
    """Return a hash of names, kinds, permissions and content.

    Raises:
        ImageBuildError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for entry in entries:
        _update(digest, entry, _copied(entry, None))
    return digest.hexdigest()


def write_tar(entries: Sequence[Entry], into: IO[bytes], extra: Sequence[Entry] = ()) -> str:
    """Write a tar of *entries*; return the hash of what was written, as `digest_of`.

    Those of *extra* are written too, in place of entries of their names, and do not count for the hash.

    Raises:
        ImageBuildError: a file cannot be read.
    """
    written = hashlib.sha256()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.PAX_FORMAT) as tar:
        names = {entry.name for entry in extra}
        for entry in (*entries, *extra):
            member = tarfile.TarInfo(entry.name)
            member.mode, member.mtime = stat.S_IMODE(entry.mode), int(entry.changed)
            content = io.BytesIO()
            digest = _copied(entry, content)
            if entry not in extra:
                _update(written, entry, digest)
                if entry.name in names:
                    continue
            if entry.kind == "folder":
                member.type = tarfile.DIRTYPE
            elif entry.kind == "link":
                member.type, member.linkname = tarfile.SYMTYPE, os.fsdecode(entry.content)
            else:
                member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content if entry.kind == "file" else None)
    return written.hexdigest()


def write_folder(entries: Sequence[Entry], folder: Path) -> str:
    """Write *entries* below *folder*, which is empty; return the hash of what was written, as `digest_of`.

    Raises:
        ImageBuildError: a file cannot be read.
    """
    written = hashlib.sha256()
    for entry in entries:
        target = folder / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "file":
            with target.open("wb") as file:
                _update(written, entry, _copied(entry, file))
            target.chmod(stat.S_IMODE(entry.mode))
            os.utime(target, (entry.changed, entry.changed))
            continue
        _update(written, entry, _copied(entry, None))
        if entry.kind == "folder":
            target.mkdir(exist_ok=True)
        else:
            target.symlink_to(os.fsdecode(entry.content))
    for entry in reversed(entries):  # last, so that folders without permission to write can be filled
        if entry.kind == "folder":
            os.utime(folder / entry.name, (entry.changed, entry.changed))
            (folder / entry.name).chmod(stat.S_IMODE(entry.mode))
    return written.hexdigest()


def _update(digest: hashlib._Hash, entry: Entry, content: bytes) -> None:
    permissions = 0 if entry.kind == "link" else stat.S_IMODE(entry.mode)
    digest.update(f"{entry.kind} {permissions:o} {entry.name!r}\n".encode("utf-8", "surrogateescape") + content)


def _copied(entry: Entry, into: IO[bytes] | None) -> bytes:
    """Copy the content of *entry*, of a file to *into*; return its hash."""
    digest = hashlib.sha256(entry.content)
    if into is not None:
        into.write(entry.content)
    if entry.source is not None and entry.kind == "file":
        try:
            with entry.source.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    if into is not None:
                        into.write(chunk)
        except OSError as error:
            raise _unreadable(error) from error
    return digest.digest()


def _unreadable(error: OSError) -> ImageBuildError:
    if error.errno and isinstance(error, FileNotFoundError):
        return ImageBuildError(
            f"{error.filename} does not exist and is to be copied into an image. Correct the path; one that is not "
            f"absolute begins in the working directory, {Path.cwd()}."
        )
    words = f"{error.filename or 'a file of the context'} cannot be copied: {error.strerror or error}"
    return ImageBuildError(f"{words}. Change its permissions, or keep it out by a .dockerignore beside it.")
