"""`File`: a file by its URL or path, on this machine or elsewhere.

A text is a URL if it begins with ``file:``, or with a scheme and ``:/``; any other text, and every `os.PathLike`, is a
path, without special characters: ``run:1.txt``, ``a?b`` and ``100%`` are names of files.

The path of a ``file:`` URL is percent-decoded (RFC 8089), as `pathlib.Path.as_uri` encodes it; it has no query and no
fragment: ``?`` and ``#`` belong to the name. URLs of other schemes are sent to servers as written, so their path is not
decoded.

A ``temp:`` URL (`File.temp`) has no place of the user's: the file stays where the task ran that wrote it.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.model.item import Item, note
from cnflow.text import amount_of_memory, mask_url

if TYPE_CHECKING:
    from collections.abc import Iterable

# The parts of https://www.rfc-editor.org/rfc/rfc3986#appendix-B, and of RFC 8089 for the scheme `file`.
_FILE_URL = re.compile(r"file:(?://([^/]*))?(.*)", re.DOTALL | re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?=/)(?://([^/?#]*))?([^?#]*)")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class _Parts(NamedTuple):
    url: str
    scheme: str
    netloc: str
    path: str


class _Traits(NamedTuple):
    """What the user says of a file besides its URL."""

    sha256: Optional[str] = None
    size: Optional[int] = None
    directory: bool = False
    glob: bool = False


_PLAIN = _Traits()


class File:
    """A file by its URL, and the path of its copy once it is staged.

    Two are equal if their URLs mean the same file, wherever their copies are. A path equals the ``file:`` URL of it; a
    relative path does not equal an absolute one.

    Args:
        url: URL or path, see the module; a relative path is relative to the folder of the process that opens it.
        sha256: checksum, as 64 hexadecimal digits, that a copy must have.
        size: bytes that a copy must have.
        directory: the path is that of a folder, which is moved with all that it holds: links, modes and times too.
        glob: the path is a pattern, as of `glob.glob`: all files that match it are moved.

    Attributes:
        local_path: path of the copy, as the task sees it; None while there is none. Set by a staging.
        item: content of the file that travels apart from tasks (`cnflow.model.item`); None without one. Set by a
            staging.
        hold: object that keeps the item for as long as this file exists in the driver; not pickled.

    Raises:
        ConfigurationError: *url* has another type, or names no file; a checksum or size can be none, or is one of a
            folder.
    """

    __slots__ = ("_parts", "_traits", "hold", "item", "local_path")

    def __init__(
        self,
        url: FileLike,
        *,
        sha256: Optional[str] = None,
        size: Optional[int] = None,
        directory: bool = False,
        glob: bool = False,
    ) -> None:
        self.local_path: Optional[str] = None
        self.item: Optional[Item] = None
        self.hold: object = None
        self._traits = _PLAIN
        if isinstance(url, File):
            self.local_path, self.item, self.hold = url.local_path, url.item, url.hold
            self._traits = url._traits  # noqa: SLF001 - of this class
        self._parts = _parts_of(url.url if isinstance(url, File) else url)
        if sha256 is not None or size is not None or directory or glob:
            self._traits = _checked(_Traits(sha256, size, bool(directory), bool(glob)), self.url)

    @classmethod
    def temp(cls, name: str, *, directory: bool = False) -> File:
        """Return a new temporary file, for the ``outputs`` of one task and the inputs of others.

        It stays where the task ran, is sent from there to the nodes of tasks that read it, and is removed when the
        driver and its tasks need it no more.

        Args:
            name: last part of its path in the tasks.
            directory: it is a folder.

        Raises:
            ConfigurationError: *name* is no name of a file.
        """
        if name in {"", ".", ".."} or "/" in name or "\0" in name:
            raise ConfigurationError(
                f"File.temp({name!r}): pass the name that the file has in tasks, without a folder, such as 'table.csv'."
            )
        return cls(f"temp:/{os.urandom(8).hex()}/{name}", directory=directory)

    @property
    def sha256(self) -> Optional[str]:
        """Checksum that a copy must have, in lower case; None where the user gave none."""
        return self._traits.sha256

    @property
    def size(self) -> Optional[int]:
        """Bytes that a copy must have; None where the user gave none."""
        return self._traits.size

    @property
    def directory(self) -> bool:
        """True for a folder."""
        return self._traits.directory

    @property
    def glob(self) -> bool:
        """True for a pattern."""
        return self._traits.glob

    @property
    def url(self) -> str:
        """The URL or path, as passed in; ``File(file.url) == file``."""
        return self._parts.url

    @property
    def scheme(self) -> str:
        """Scheme of the URL in lower case; ``file`` for a path."""
        return self._parts.scheme

    @property
    def netloc(self) -> str:
        """Text between ``//`` and the path: user, host and port; empty for a path."""
        return self._parts.netloc

    @property
    def path(self) -> str:
        """Path of the URL: decoded for ``file:``, as written for other schemes."""
        return self._parts.path

    @property
    def filename(self) -> str:
        """Last part of `path`."""
        return os.path.basename(self.path)  # noqa: PTH119 - Path("a/") would give "a"

    @property
    def filepath(self) -> str:
        """Path to open: that of the copy, or the file's own for ``file:``.

        Raises:
            ConfigurationError: the file is elsewhere and was not staged.
        """
        found = self._place()
        if found is None:
            raise ConfigurationError(
                f"{self.url} has no path here, since it was not staged. Pass it to an app, as an argument or in "
                "inputs=, and open it inside the app.",
            )
        return found

    def paths(self) -> list[str]:
        """Return the paths of all files that match a pattern, sorted; that of the file alone where it is none.

        Raises:
            ConfigurationError: as `filepath`.
        """
        from glob import glob  # noqa: PLC0415 - a worker starts without it

        path = self.filepath
        return sorted(glob(path, recursive=True)) if self.glob else [path]  # noqa: PTH207 - of any folder

    @property
    def is_here(self) -> bool:
        """True if `filepath` has a path; that path may not exist."""
        return self._place() is not None

    def cleancopy(self) -> File:
        """The same file without the path of a copy, and without an item."""
        return self.at(self.url)

    def at(self, url: FileLike) -> File:
        """Return a clean file of the same checksum, size and kind at *url*."""
        made = type(self)(url)
        made._traits = self._traits  # noqa: SLF001 - of this class
        return made

    def _place(self) -> str | None:
        if self.local_path is not None:
            return self.local_path
        return self.path if self.scheme == "file" else None

    def _identity(self) -> object:
        url, scheme, netloc, path = self._parts
        return (_without_localhost(netloc), path) if scheme == "file" else url

    def __eq__(self, other: object) -> bool:
        return self._identity() == other._identity() if isinstance(other, File) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity())

    def __fspath__(self) -> str:
        return self.filepath

    def __str__(self) -> str:
        return self._place() or self.url

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        url = mask_url(self.url)
        return f"File({url!r})" if self.local_path is None else f"<File {url!r} staged at {self.local_path!r}>"

    def _repr_html_(self) -> str:
        """HTML for notebooks: URL, the copy on this machine, and what is known of the content."""
        from cnflow.html_tables import table  # noqa: PLC0415 - a worker shows nothing

        size = self._size_here()
        cells = {
            "file": mask_url(self.url),
            "copy": self.local_path or "",
            "kind": "folder" if self.directory else "pattern" if self.glob else "",
            "size": "" if size is None else amount_of_memory(size),
            "sha256": (self.sha256 or "")[:12],
        }
        shown = {name: text for name, text in cells.items() if text or name == "file"}
        return table([*shown], [[*shown.values()]], {number for number, name in enumerate(shown) if name == "size"})

    def _size_here(self) -> Optional[int]:
        """Size of the copy, or of the file where it lies on this machine; else the size that the user gave."""
        path = self.local_path or (self.path if self.scheme == "file" else "")
        if path and not self.directory and not self.glob:
            with contextlib.suppress(OSError, ValueError):
                return os.stat(path).st_size  # noqa: PTH116 - without pathlib, as all of this module
        return self.size

    def __copy__(self) -> File:
        made = object.__new__(type(self))
        made._parts, made._traits, made.local_path = self._parts, self._traits, self.local_path
        made.item, made.hold = self.item, self.hold
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        traits = self._traits
        if self.item is None:
            if traits is _PLAIN:
                return _restored, (type(self), self.url, self.local_path)
            return _restored, (type(self), self.url, self.local_path, tuple(traits))
        note(self.item)
        return _restored, (type(self), self.url, self.local_path, tuple(traits), tuple(self.item))


FileLike = Union[File, str, "os.PathLike[str]"]
"""Types that are accepted as a file."""


def clean_files(values: Iterable[FileLike] | None, name: str = "outputs") -> list[File]:
    """Return a new list with a `File` without a copy for each of *values*; an empty list for None.

    Args:
        values: is not changed.
        name: of the argument, for the error.

    Raises:
        ConfigurationError: an element is neither File, str nor PathLike, or *values* is one itself.
    """
    if values is None:
        return []
    if isinstance(values, (str, bytes, os.PathLike)):
        raise ConfigurationError(f"{name}={values!r} is one file. Write a list: {name}=[{values!r}].")
    files = []
    for position, value in enumerate(values):
        if not isinstance(value, (str, os.PathLike)):
            raise ConfigurationError(
                f"{name}[{position}] is {value!r}, of type {type(value).__name__}, not a File, str or PathLike."
            )
        files.append(File(value).cleancopy())
    return files


def _parts_of(url: object) -> _Parts:
    if not isinstance(url, (str, os.PathLike)):
        raise ConfigurationError(f"A File is created from a str or a PathLike, not from a {type(url).__name__}.")
    parts = _split(url) if isinstance(url, str) else _path_parts(os.fsdecode(url))
    if (parts.scheme == "file" and not parts.path) or "\0" in parts.path:
        raise ConfigurationError(f"File({url!r}) names no file.")
    return parts


def _split(text: str) -> _Parts:
    found = _FILE_URL.match(text)
    if found:
        return _Parts(text, "file", found[1] or "", _percent_decode(found[2]))
    found = _URL.match(text)
    if found:
        return _Parts(text, found[1].lower(), found[2] or "", found[3])
    return _Parts(text, "file", "", text)


def _path_parts(path: str) -> _Parts:
    """Parts of a path; its URL is the path itself, unless that would be parsed as a URL."""
    if _split(path).path == path and _split(path).scheme == "file":
        return _Parts(path, "file", "", path)
    from urllib.parse import quote  # noqa: PLC0415 - a worker starts without it

    return _Parts(f"file:{quote(os.fsencode(path))}", "file", "", path)


def _percent_decode(path: str) -> str:
    if "%" not in path:
        return path
    from urllib.parse import unquote  # noqa: PLC0415 - a worker starts without it

    return unquote(path, errors="surrogateescape")  # as Python decodes names of the file system


def _without_localhost(netloc: str) -> str:
    return "" if netloc.lower() == "localhost" else netloc


def _checked(traits: _Traits, url: str) -> _Traits:
    """Return *traits* with the checksum in lower case.

    Raises:
        ConfigurationError: one of them can be none, or they contradict each other.
    """
    sha256, size, directory, glob = traits
    if sha256 is not None and not _SHA256.fullmatch(str(sha256)):
        raise ConfigurationError(f"File({url!r}, sha256={sha256!r}): a SHA-256 has 64 hexadecimal digits.")
    if size is not None and (type(size) is not int or size < 0):
        raise ConfigurationError(f"File({url!r}, size={size!r}): pass a number of bytes, 0 or more.")
    if directory and glob:
        raise ConfigurationError(f"File({url!r}, directory=True, glob=True): it is a folder or a pattern; leave one.")
    if (directory or glob) and (sha256 is not None or size is not None):
        kind = "folder" if directory else "pattern"
        raise ConfigurationError(f"File({url!r}): sha256= and size= are those of one file, and this is a {kind}.")
    return traits._replace(sha256=None if sha256 is None else sha256.lower())


# Its name and first three parameters are in the pickles of checkpoints.
def _restored(
    kind: type[File],
    url: str,
    local_path: str | None,
    traits: tuple[Any, ...] = _PLAIN,
    item: tuple[Any, ...] | None = None,
) -> File:
    file = kind(url)
    file.local_path = local_path
    if traits is not _PLAIN:
        file._traits = _Traits(*traits)  # noqa: SLF001 - its own
    if item is not None:
        file.item = Item(*item)
    return file
