"""Names of the copies of files, and the files that are here. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from cnflow.model.file import File

_NAMELESS = "file"
_LONGEST = 200
"""Bytes; file systems allow 255, of which a download needs some for its temporary name."""


def is_on_this_machine(file: File) -> bool:
    """Return True for a path, or a ``file:`` URL without a foreign host."""
    return file.scheme == "file" and file.netloc.lower() in {"", "localhost"}


def name_of(url: str) -> str:
    """Last part of the path of *url*, decoded, as a name that stays in its folder whatever the URL says."""
    return safe_name(unquote(urlsplit(url).path.rpartition("/")[2]))


def safe_name(wanted: str) -> str:
    """*wanted* as the name of a file: forbidden letters are replaced, a name that is too long loses its beginning."""
    name = "".join("_" if letter == "/" or not letter.isprintable() else letter for letter in wanted)
    if name.strip(".") == "":
        return _NAMELESS
    return name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
