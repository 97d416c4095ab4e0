"""Makes text safe for HTML. No I/O."""

from __future__ import annotations

import html


def escape(text: str) -> str:
    """*text* without markup and without control characters."""
    return html.escape("".join(mark if mark.isprintable() or mark == "\n" else " " for mark in text))
