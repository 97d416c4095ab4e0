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

from cnflow.errors import ConfigurationError
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.streams import open_sinks, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnflow.tasks.call import Call
    from cnflow.tasks.thread_stopping import Run

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


def call_in_thread(call: Call, run: Run, title: str) -> Any:  # noqa: ANN401 - the user's value
    """Call a Python app in this thread with its own stdout and stderr, and return its value.

    Args:
        call: of the app.
        run: of this thread.
        title: of the task, for messages.

    Raises:
        Exception: any that the function raises.
        ConfigurationError: the call has options that change the whole process.
    """
    options = call.options
    if options.env or options.sandbox:
        asked = "sandbox=True" if options.sandbox else "env="
        raise ConfigurationError(
            f"{title} asks for {asked}, which changes the whole process, and runs in one thread of many. "
            "Run it on a HighThroughputExecutor.",
        )
    run.hold()
    with contextlib.ExitStack() as undo:
        sinks = open_sinks(target_of(options.stdout, "stdout"), target_of(options.stderr, "stderr"), undo)
        for name, sink in zip(("stdout", "stderr"), sinks):
            if sink is not None:
                undo.enter_context(redirect(name, sink.file.fileno()))
        run.release()
        try:
            return call_function(call.function, call.args, call.kwargs, run.set_wake)
        finally:
            run.hold()
