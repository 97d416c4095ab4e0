"""Marks in the output of a worker: which task the bytes around them are of. Standard library only.

::

    task prints through sys.stdout, forks, runs a command     BEGIN 12 predict   hello ...     END 12 predict
    other output of a task: C code, a child process                              bytes ...      END 12 predict
    a task that prints nothing: no mark, and no cost

The marks travel in the pipe of the output itself, and so keep their order with it. A BEGIN is written before the first
byte of a task. An END without BEGIN claims the unclaimed bytes before it: the worker writes it if the pipe is not empty
when the task ends. Bytes of such output that the manager has read by then were of the task that it saw running.
"""

from __future__ import annotations

import re

BEGIN, END = b"begin", b"end"

_OPEN, _CLOSE = b"\x00\x1d", b"\x1d\x00"
_LONGEST_NAME = 200

MARK = re.compile(rb"\x00\x1d(begin|end) ([^\x00\x1d]*)\x1d\x00")
"""Groups: kind and title."""

_LONGEST = 2 * _LONGEST_NAME


def title_of(task: int, name: str) -> bytes:
    """Return the words for a task in front of its lines: ``predict[12]``; nothing in it ends a line or a mark."""
    plain = "".join(each if each.isprintable() and each not in "[]|" else "?" for each in name[:_LONGEST_NAME])
    return b"%s[%d]" % (plain.encode("ascii", "replace"), task)


def mark(kind: bytes, title: bytes) -> bytes:
    """Return the mark of *kind* for the task of *title*; a pipe takes it as a whole (pipe(7), PIPE_BUF)."""
    return b"%s%s %s%s" % (_OPEN, kind, title, _CLOSE)


def begin_of_incomplete_mark(data: bytes) -> int:
    """Return where the last bytes of *data* may be the first part of a mark; the length of *data* if they are none."""
    start = data.rfind(_OPEN)
    if start >= 0 and len(data) - start < _LONGEST and _CLOSE not in data[start + len(_OPEN) :]:
        return start
    is_first_byte = data.endswith(_OPEN[:1]) and not data.endswith(_CLOSE)
    return len(data) - 1 if is_first_byte else len(data)
