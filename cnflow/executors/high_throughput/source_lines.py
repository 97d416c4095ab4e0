"""Adds source lines to tracebacks that were printed where the user's files are not."""

from __future__ import annotations

import linecache
import re

_FRAME = re.compile(r'^(?P<margin>[ |]*)  File "(?P<file>.+)", line (?P<line>\d+), in .+$')
"""One frame as `traceback` prints it; inside an exception group the margin has bars."""


def with_source_lines(text: str) -> str:
    """*text*, a traceback as Python prints it, with the line of source under each frame that has none.

    A worker prints no source for a function that was sent to it when its machine lacks the file: in an image, or for a
    notebook's cell. The driver has the file, or the cell in `linecache`. A frame whose source is unknown here as well
    stays as it is.
    """
    lines = text.split("\n")
    filled: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        filled.append(line)
        frame = _FRAME.match(line)
        if frame is None or following.startswith(f"{frame['margin']}    "):
            continue
        linecache.checkcache(frame["file"])
        if source := linecache.getline(frame["file"], int(frame["line"])).strip():
            filled.append(f"{frame['margin']}    {source}")
    return "\n".join(filled)
