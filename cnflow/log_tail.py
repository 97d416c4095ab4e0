"""The end of a log file, as errors quote it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnflow.log_rotation import OLDER

if TYPE_CHECKING:
    from pathlib import Path

_LINES = 10
_BYTES = 8192


def tail(path: Path, lines: int = _LINES) -> str:
    """Return the last *lines* of a file, indented; empty when it has none or cannot be read."""
    text = last_lines(path, lines, longest=_BYTES).decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines())


def last_lines(path: Path, lines: int, *, longest: int = 2**24) -> bytes:
    """Return the last *lines* of a file, without white space around them; empty when it cannot be read.

    Args:
        path: of the file.
        lines: to return at most.
        longest: bytes that are read at most; an earlier part of a line is cut off.
    """
    content = _last_bytes(path, longest).strip()
    if content.count(b"\n") < lines - 1 and len(content) < longest:  # rotated a moment ago
        older = _last_bytes(path.with_name(path.name + OLDER), longest - len(content))
        content = (older + content).strip()
    return b"\n".join(content.splitlines()[-lines:])


def _last_bytes(path: Path, longest: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - longest))
            return file.read()
    except OSError:
        return b""


def quoted_tail(path: Path) -> str:
    """`tail` under a heading, to be put behind a sentence; empty when there is nothing to quote."""
    return _under_heading(tail(path))


def quoted(text: str) -> str:
    """Lines of *text* under the heading of `quoted_tail`; empty when there are none."""
    return _under_heading("\n".join(f"    {line}" for line in text.strip().splitlines()))


def _under_heading(lines: str) -> str:
    return f"\nThe last lines of its log:\n{lines}" if lines else ""
