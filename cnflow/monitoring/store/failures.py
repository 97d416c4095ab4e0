"""Groups failures by their cause: the same app, type of error, and message but for numbers and paths. No I/O."""

from __future__ import annotations

import re
from hashlib import blake2b

_LINE = 300
"""Characters of the line that stands for an error."""

_VARYING = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8,}\b|\d+(?:\.\d+)?")
_PATH = re.compile(r"(?:/[\w.+@-]+){2,}")
_ANNOUNCED = re.compile(r"(?<=[.!]) [^.!]*:$")
"""Words that announce the next line, such as the command of a bash app."""

_TYPE = re.compile(r"[A-Za-z_][\w.]*")


def first_line(text: str) -> str:
    """Return the first line of *text*, of a bounded length."""
    line, _, rest = text.strip().partition("\n")
    if rest:
        line = _ANNOUNCED.sub("", line)
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def type_and_message(text: str) -> tuple[str, str]:
    """Split ``ValueError: no such thing``; the type is ``Error`` where there is none."""
    name, colon, message = text.partition(":")
    if colon and _TYPE.fullmatch(name):
        return name, message.strip()
    return "Error", text.strip()


def group_of(app: str, error_type: str, message: str) -> str:
    """Return the id of the cause, the same in every run."""
    line = _VARYING.sub("#", _PATH.sub("/…", first_line(message)))
    return blake2b(f"{app}\0{error_type}\0{line}".encode(errors="replace"), digest_size=8).hexdigest()
