r"""Makes words for callers of those for the operator: without tracebacks and paths of workers. No I/O.

::

    "m failed:\nTraceback ...\n  File ...\nOSError: no /opt/weights.bin" ──> "m failed:\nOSError: no …/weights.bin"

A caller over HTTP may be anybody; folders, users and code of the nodes are none of their business. The log has them,
under the id of the request.
"""

from __future__ import annotations

import re

_TRACEBACK = re.compile(r"(?: *\+ Exception Group )?Traceback \(most recent call last\):")
_GROUP = "Exception Group Traceback"
_MARGIN = re.compile(r" *(?:\||\+-[-+\d ]*) ?")
"""Of the lines of an exception group."""

_FRAME = '  File "'
_NAME = r"[^\s'\"/\\:;,()<>]"
_PATH = re.compile(rf"(?:(?<![\w/.\\-])|(?<=://)|(?<=:///))(?:[A-Za-z]:\\|/)(?:{_NAME}+[/\\])+({_NAME}*)")
"""An absolute path of two names or more, also of a URL without a host. Not the rest of another URL, nor `1/2`."""


def public_words(words: str) -> str:
    """Return *words* with the exception alone of a traceback, and the last name of each absolute path."""
    if (found := _TRACEBACK.search(words)) is not None:
        words = _without_traceback(words[: found.start()], words[found.start() :])
    return _PATH.sub(lambda found: f"…/{found[1]}" if found[1] else "…", words)


def _without_traceback(before: str, trace: str) -> str:
    lines = trace.splitlines()
    if _GROUP in trace:
        lines = [line[found.end() :] if (found := _MARGIN.match(line)) else line for line in lines]
    last = max((number for number, line in enumerate(lines) if line.startswith(_FRAME)), default=0)
    rest = lines[last + 1 :]
    # Code of the last frame is indented, and may have empty lines; the exception is not, but more lines of it may be.
    first = next((number for number, line in enumerate(rest) if line and not line.startswith(" ")), len(rest))
    return "\n".join([part for part in (before.rstrip(), "\n".join(rest[first:]).strip()) if part])
