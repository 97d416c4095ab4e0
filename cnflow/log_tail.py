"""The end of a log file, as errors quote it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LINES = 10
_BYTES = 8192


def tail(path: Path, lines: int = _LINES) -> str:
    """The last *lines* of a file, indented; empty when it has none or cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def quoted_tail(path: Path) -> str:
    """`tail` under a heading, to be put behind a sentence; empty when there is nothing to quote."""
    said = tail(path)
    return f"\nThe last lines of its log:\n{said}" if said else ""
