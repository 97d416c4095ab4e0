"""Redirects the output of one thread to a file, while other threads print as before.

``sys.stdout`` and ``sys.stderr`` are those of the whole process, so they are replaced, as long as a task needs it, by
an object that looks up the file of the writing thread. Output of C code and of child processes is not redirected: only
a worker process can do that.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.Lock()


class _Nothing(io.TextIOBase):
    """Takes the output of the other threads where the process has no such stream, and ``sys`` has None."""

    def write(self, text: str) -> int:
        return len(text)


class _PerThread:
    def __init__(self, original: Any) -> None:  # noqa: ANN401 - whatever stands in sys
        self.original = original if original is not None else _Nothing()
        self.files: dict[int, IO[str]] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.files.get(threading.get_ident(), self.original), name)


@contextlib.contextmanager
def redirect(name: str, descriptor: int) -> Iterator[None]:
    """While the block runs, output of this thread to ``sys.NAME`` goes to the open file *descriptor*."""
    thread = threading.get_ident()
    # Closed by hand: the task may have closed it already.
    file = os.fdopen(os.dup(descriptor), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    with _lock:
        found = getattr(sys, name, None)
        stream = found if isinstance(found, _PerThread) else _PerThread(found)
        setattr(sys, name, stream)
        stream.files[thread] = file
    try:
        yield
    finally:
        with _lock:
            del stream.files[thread]
            if not stream.files and getattr(sys, name, None) is stream:
                setattr(sys, name, None if isinstance(stream.original, _Nothing) else stream.original)
        file.close()
