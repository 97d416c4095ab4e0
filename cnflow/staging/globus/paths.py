"""Places on collections of Globus, and the paths of the same files on nodes. No I/O."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from cnflow.model.file import File

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Place(NamedTuple):
    """A file or folder on a collection."""

    collection: str
    path: str

    def __str__(self) -> str:
        return f"globus://{self.collection}{self.path}"


def collection_id(text: str, what: str) -> str:
    """Return *text*, the UUID of a collection, in lower case; *what* begins the message of an error.

    Raises:
        ConfigurationError: it is no UUID.
    """
    found = text.strip().lower()
    if not _UUID.fullmatch(found):
        raise ConfigurationError(
            f"{what}: {text!r} is no UUID of a Globus collection. Copy it from the collection's page on "
            "https://app.globus.org; it looks like 037f054a-15cf-11e8-b611-0ac6873fc732."
        )
    return found


def place_of(file: File) -> Place:
    """Place that a ``globus:`` URL names: the path is taken as written, ``?``, ``#`` and ``%`` included, as by Parsl.

    Raises:
        ConfigurationError: its host is no UUID, or it has no path.
    """
    collection = collection_id(file.netloc, file.url)
    path = file.url[file.url.index(file.netloc) + len(file.netloc) :]
    if not path.strip("/"):
        raise ConfigurationError(f"{file.url} names no file: write globus://UUID/path.")
    return Place(collection, path)


class Mapping(NamedTuple):
    """One folder, as a collection names it and as the nodes of an executor do."""

    collection: str
    endpoint_path: str
    local_path: str

    def to_place(self, path: str) -> Place | None:
        """Return the place of the file at *path* of a node; None if it is outside of the folder."""
        moved = _moved(path, self.local_path, self.endpoint_path)
        return None if moved is None else Place(self.collection, moved)

    def to_path(self, place: Place) -> str | None:
        """Return the path on a node of the file at *place*; None if it is elsewhere."""
        if place.collection != self.collection:
            return None
        return _moved(place.path, self.endpoint_path, self.local_path)


def _moved(path: str, root: str, target: str) -> str | None:
    path, root = posixpath.normpath(path), posixpath.normpath(root)
    if path.startswith("//"):
        path = path[1:]
    if posixpath.commonpath([path, root]) != root:
        return None
    return posixpath.join(target, posixpath.relpath(path, root))
