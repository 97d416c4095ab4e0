"""What a Python app is given around its call in a worker's process: files for its output, environment, sandbox."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any, Optional

from cnflow.tasks.sandbox import sandbox
from cnflow.tasks.streams import open_sinks, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.tasks.call import Call
    from cnflow.worker.interruption import Guard


def call_within(what: Call, guard: Guard, folder: str) -> Any:  # noqa: ANN401 - the user's value
    """What the app's function returns; everything is as before afterwards.

    What it prints goes to its files, also from its child processes and from C. A stop is not raised while things are
    set up or undone, and so leaves nothing behind.

    Args:
        what: the call.
        guard: of this process.
        folder: where a sandbox is made.

    Raises:
        Exception: whatever the function raises.
        BadStdStreamFile: a stream's file cannot be opened; it was not called.
        ConfigurationError: the sandbox cannot hold its inputs and outputs; it was not called.
    """
    options = what.options
    guard.hold()
    with contextlib.ExitStack() as undo:
        stdout, stderr = open_sinks(target_of(options.stdout, "stdout"), target_of(options.stderr, "stderr"), undo)
        if options.sandbox:
            undo.enter_context(_inside(undo.enter_context(sandbox(options.inputs, options.outputs, folder))))
        undo.enter_context(_environment(options.env))
        for number, sink in ((1, stdout), (2, stderr)):
            if sink is not None:
                undo.enter_context(_redirected(number, sink.file))
        guard.release()
        try:
            return what.function(*what.args, **what.kwargs)
        finally:
            guard.hold()


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    home = os.getcwd()  # noqa: PTH109 - a string, to go back to
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)


@contextlib.contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _redirected(number: int, file: IO[Any]) -> Iterator[None]:
    """Descriptor *number* is *file*, for this process and all that it starts."""
    _flush(number)
    before = os.dup(number)
    os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        _flush(number)
        os.dup2(before, number)
        os.close(before)


def _flush(number: int) -> None:
    """Write out what Python and C hold back for *number*."""
    stream: Optional[IO[str]] = sys.stdout if number == 1 else sys.stderr
    with contextlib.suppress(OSError, ValueError, AttributeError):  # the task may have closed or replaced it
        if stream is not None:
            stream.flush()
    with contextlib.suppress(ImportError, OSError, AttributeError):  # an image's Python may lack ctypes
        import ctypes  # noqa: PLC0415 - only for those who ask

        ctypes.CDLL(None).fflush(None)
