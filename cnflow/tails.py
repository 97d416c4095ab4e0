"""The end of a log file, as errors quote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_BYTES = 4096
_LINES = 15


def quoted_tail(file: Path) -> str:
    """The last lines of *file* under a heading, beginning with a new line; empty when there are none."""
    try:
        text = file.read_bytes()[-_BYTES:].decode(errors="replace")
    except OSError:
        return ""  # what never ran wrote no log
    lines = text.splitlines()[-_LINES:]
    return "\n".join(["\nThe last lines of its log:", *(f"    {line}" for line in lines)]) if lines else ""
