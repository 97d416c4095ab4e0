r"""Makes words for callers of those for the operator: without tracebacks and paths of workers. No I/O.

::

    "m failed:\nTraceback ...\n  File ...\nOSError: no /opt/weights.bin" ──> "m failed:\nOSError: no …/weights.bin"

A caller over HTTP may be anybody; folders, users and code of the nodes are none of their business. The log has them,
under the id of the request.
"""

from __future__ import annotations

import re

_TRACEBACK = "Traceback (most recent call last):"
_PATH = re.compile(r"(?<![\w:/.\\-])(?:[A-Za-z]:\\|/)(?:[^\s'\"/\\:;,()<>]+[/\\])+([^\s'\"/\\:;,()<>]*)")
"""An absolute path of two names or more. Not the rest of a URL, nor `1/2`."""


def public_words(words: str) -> str:
    """Return *words* with the last line of each traceback alone, and the last name of each absolute path."""
    if _TRACEBACK in words:
        words = _without_traceback(words)
    return _PATH.sub(lambda found: f"…/{found[1]}" if found[1] else "…", words)


def _without_traceback(words: str) -> str:
    before, _, trace = words.partition(_TRACEBACK)
    lines = trace.splitlines()
    # Frames are indented; what follows the last of them is the exception and its notes.
    last = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=-1)
    return "\n".join([part for part in (before.rstrip(), "\n".join(lines[last + 1 :]).strip()) if part])
