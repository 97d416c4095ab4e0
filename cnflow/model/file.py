"""`File`: a file by its place, wherever that is.

Text is a URL if it begins with ``file:``, or with a scheme and ``:/``; all other text, and every `os.PathLike`, is a
path and is taken letter by letter. So ``run:1.txt``, ``a?b`` and ``100%`` are names of files.

The path of a ``file:`` URL is percent-decoded (RFC 8089), so that what `pathlib.Path.as_uri` makes is understood; it
has no query and no fragment: ``?`` and ``#`` belong to the name. URLs of other schemes go to servers as they were
written, so their path is not decoded.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Union

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
    """A file by its URL, and where a copy of it lies once it was staged.

    A value: equal when the URLs mean the same file; where the copy lies does not count. A path and the ``file:`` URL
    that means it are equal; a relative path and an absolute one are not.

    Args:
        url: URL or path, see above; a relative path is relative to where it is opened.

    Attributes:
        local_path: path of the copy where the task sees it; None while there is none. Set by a staging.

    Raises:
        ConfigurationError: *url* is of another type, or names no file.
    """

    __slots__ = ("_parts", "local_path")

    def __init__(self, url: FileLike) -> None:
        self.local_path: Optional[str] = url.local_path if isinstance(url, File) else None
        self._parts = _parts_of(url.url if isinstance(url, File) else url)

    @property
    def url(self) -> str:
        """As it was given; ``File(file.url) == file``."""
        return self._parts.url

    @property
    def scheme(self) -> str:
        """In lower case; ``file`` for a path."""
        return self._parts.scheme

    @property
    def netloc(self) -> str:
        """Host, with what else stands between ``//`` and the path; empty for a path."""
        return self._parts.netloc

    @property
    def path(self) -> str:
        """The path alone: for ``file:`` as one opens it, for others as the URL writes it."""
        return self._parts.path

    @property
    def filename(self) -> str:
        """Last part of `path`."""
        return os.path.basename(self.path)  # noqa: PTH119 - Path("a/") would give "a"

    @property
    def filepath(self) -> str:
        """Path to open it by: that of the copy, or its own for ``file:``.

        Raises:
            ConfigurationError: it is elsewhere and was not staged.
        """
        found = self._place()
        if found is None:
            raise ConfigurationError(
                f"{self.url} has no path here, since it was not staged. Pass it to an app, as an argument or in "
                "inputs=, and use it inside the app.",
            )
        return found

    @property
    def is_here(self) -> bool:
        """Whether it has a path to open it by; says nothing of whether there is something at that path."""
        return self._place() is not None

    def cleancopy(self) -> File:
        """The same file as if it had never been staged."""
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

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.url, self.local_path)


FileLike = Union[File, str, "os.PathLike[str]"]
"""What stands for a file wherever one is asked for."""


def outputs_of(values: Iterable[FileLike] | None, name: str = "outputs") -> list[File]:
    """A new list with a clean `File` for each of *values*; *values* is left as it is, None is an empty list.

    Raises:
        ConfigurationError: an element is neither File, str nor PathLike, or *values* is one itself; names the argument
            *name*, and the position and type of the first bad element.
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


def missing_outputs(files: Iterable[File], exists: Callable[[str], bool] = os.path.exists) -> list[File]:
    """Those of *files* that have a path here and nothing at it; a link to nothing is missing too.

    To be asked where the task ran: a path means something only there.
    """
    return [file for file in files if file.is_here and not exists(file.filepath)]


def _parts_of(url: object) -> _Parts:
    if not isinstance(url, (str, os.PathLike)):
        raise ConfigurationError(f"A File is made of a str or a PathLike, not of a {type(url).__name__}.")
    parts = _split(url) if isinstance(url, str) else _path_parts(os.fsdecode(url))
    if (parts.scheme == "file" and not parts.path) or "\0" in parts.path:
        raise ConfigurationError(f"File({url!r}) names no file.")
    return parts


def _split(text: str) -> _Parts:
    found = _FILE_URL.match(text)
    if found:
        return _Parts(text, "file", found[1] or "", _decoded(found[2]))
    found = _URL.match(text)
    if found:
        return _Parts(text, found[1].lower(), found[2] or "", found[3])
    return _Parts(text, "file", "", text)


def _path_parts(path: str) -> _Parts:
    """Those of a path; its URL is the path itself unless that would be read as another one."""
    if _split(path).path == path and _split(path).scheme == "file":
        return _Parts(path, "file", "", path)
    from urllib.parse import quote  # noqa: PLC0415 - a worker starts without it

    return _Parts(f"file:{quote(os.fsencode(path))}", "file", "", path)


def _decoded(path: str) -> str:
    if "%" not in path:
        return path
    from urllib.parse import unquote  # noqa: PLC0415 - a worker starts without it

    return unquote(path, errors="surrogateescape")  # as the file system's own names come


def _without_localhost(netloc: str) -> str:
    return "" if netloc.lower() == "localhost" else netloc


def _restored(kind: type[File], url: str, local_path: str | None) -> File:
    file = kind(url)
    file.local_path = local_path
    return file
