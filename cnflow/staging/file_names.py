"""Names of the copies of files. No I/O."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

_NAMELESS = "file"
_LONGEST = 200
"""Bytes; file systems allow 255, of which a download needs some for its temporary name."""


def name_of(url: str) -> str:
    """Last part of the path of *url*, decoded, as a name that stays in its folder whatever the URL says."""
    return safe_name(unquote(urlsplit(url).path.rpartition("/")[2]))


def safe_name(wanted: str) -> str:
    """*wanted* as the name of a file: forbidden letters are replaced, a name that is too long loses its beginning."""
    name = "".join("_" if letter == "/" or not letter.isprintable() else letter for letter in wanted)
    if name.strip(".") == "":
        return _NAMELESS
    return name.encode(errors="replace")[-_LONGEST:].decode(errors="ignore")
