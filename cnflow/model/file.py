"""`File`: a file by its URL or path, on this machine or elsewhere.

A text is a URL if it begins with ``file:``, or with a scheme and ``:/``; any other text, and every `os.PathLike`, is a
path, without special characters: ``run:1.txt``, ``a?b`` and ``100%`` are names of files.

The path of a ``file:`` URL is percent-decoded (RFC 8089), as `pathlib.Path.as_uri` encodes it; it has no query and no
fragment: ``?`` and ``#`` belong to the name. URLs of other schemes are sent to servers as written, so their path is not
decoded.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Optional, Union

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

# The parts of https://www.rfc-editor.org/rfc/rfc3986#appendix-B, and of RFC 8089 for the scheme `file`.
_FILE_URL = re.compile(r"file:(?://([^/]*))?(.*)", re.DOTALL | re.IGNORECASE)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):(?=/)(?://([^/?#]*))?([^?#]*)")


class _Parts(NamedTuple):
    url: str
    scheme: str
    netloc: str
    path: str


class File:
    """A file by its URL, and the path of its copy once it is staged.

    Two are equal if their URLs mean the same file, wherever their copies are. A path equals the ``file:`` URL of it; a
    relative path does not equal an absolute one.

    Args:
        url: URL or path, see the module; a relative path is relative to the folder of the process that opens it.

    Attributes:
        local_path: path of the copy, as the task sees it; None while there is none. Set by a staging.

    Raises:
        ConfigurationError: *url* has another type, or names no file.
    """

    __slots__ = ("_parts", "local_path")

    def __init__(self, url: FileLike) -> None:
        self.local_path: Optional[str] = url.local_path if isinstance(url, File) else None
        self._parts = _parts_of(url.url if isinstance(url, File) else url)

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

    @property
    def is_here(self) -> bool:
        """True if `filepath` has a path; that path may not exist."""
        return self._place() is not None

    def cleancopy(self) -> File:
        """The same file without the path of a copy."""
        return type(self)(self.url)

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
        return (
            f"File({self.url!r})" if self.local_path is None else f"<File {self.url!r} staged at {self.local_path!r}>"
        )

    def __copy__(self) -> File:
        made = object.__new__(type(self))
        made._parts, made.local_path = self._parts, self.local_path
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.url, self.local_path)


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


def _restored(kind: type[File], url: str, local_path: str | None) -> File:  # its name is in the pickles of checkpoints
    file = kind(url)
    file.local_path = local_path
    return file
