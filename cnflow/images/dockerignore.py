"""Decides which files of a folder a ``.dockerignore`` keeps out, as Docker does. No I/O.

The rules are those of https://docs.docker.com/build/concepts/context/#dockerignore-files; patterns are matched as
``github.com/moby/patternmatcher`` does: the last pattern that fits a path, or a folder above it, decides.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]")


class Pattern(NamedTuple):
    """One line of a ``.dockerignore``."""

    regex: re.Pattern[str]
    is_exception: bool
    """It begins with ``!``: files that fit are kept."""

    text: str


class Ignored:
    """Patterns of one ``.dockerignore``.

    Args:
        text: content of the file.

    Raises:
        ValueError: a line is no pattern; names it.
    """

    def __init__(self, text: str) -> None:
        self.patterns: Sequence[Pattern] = [_pattern(line) for line in _lines(text)]
        self._has_exceptions = any(pattern.is_exception for pattern in self.patterns)

    def excludes(self, path: str) -> bool:
        """Return True if *path*, relative to the folder and with ``/``, is kept out."""
        found = False
        for pattern in self.patterns:
            if pattern.is_exception == found and any(pattern.regex.fullmatch(each) for each in _with_parents(path)):
                found = not pattern.is_exception
        return found

    def excludes_all_below(self, folder: str) -> bool:
        """Return True if *folder* is kept out and no exception could keep a file below it."""
        return not self._has_exceptions and self.excludes(folder)


def _lines(text: str) -> Iterable[str]:
    for line in text.removeprefix("\ufeff").splitlines():
        if not line.startswith("#") and (pattern := line.strip()):
            yield pattern


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]


def _pattern(line: str) -> Pattern:
    is_exception = line.startswith("!")
    text = line.removeprefix("!").strip()
    if is_exception and not text:
        raise ValueError(f"{line!r} is no pattern")
    cleaned = posixpath.normpath(text).lstrip("/") if text else ""
    while cleaned.startswith("../"):
        cleaned = cleaned.removeprefix("../")
    try:
        return Pattern(re.compile(_regex(cleaned), re.DOTALL), is_exception, line)
    except re.error as error:
        raise ValueError(f"{line!r} is no pattern: {error}") from error


def _regex(pattern: str) -> str:
    """Return the regular expression of a cleaned pattern; ``.`` alone, which Docker ignores, fits nothing."""
    if pattern in {"", "."}:
        return r"(?!)"
    parts, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                parts.append("(.*/)?")
                at += 1
            else:
                parts.append(".*")
        elif char == "[" and (found := _CLASS.match(pattern, at)):
            parts.append(f"[{found[1]}{found[2]}]")
            at = found.end()
        elif char == "[":
            raise ValueError(f"{pattern!r} has a '[' without its ']'")
        else:
            escaped = char == "\\" and at + 1 < len(pattern)
            at += 1 if escaped else 0
            parts.append(re.escape(pattern[at]) if escaped else {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)))
            at += 1
    return "".join(parts)
