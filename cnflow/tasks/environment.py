"""Applies the options of a Python app's call in a worker process: files for its output, environment, sandbox."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO, TYPE_CHECKING, Any, Optional

from cnflow.tasks.coroutines import call_function
from cnflow.tasks.sandbox import sandbox_of
from cnflow.tasks.streams import open_sinks, target_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.tasks.call import Call
    from cnflow.tasks.stopping import Stoppable


def call_with_options(call: Call, control: Stoppable, sandbox_prefix: str) -> Any:  # noqa: ANN401 - the user's value
    """Call the app's function with its options, restore the process, and return the function's result.

    The output of child processes and of C code goes to the task's files, too. A stop is held back while options are
    applied or undone, and therefore leaves no trace of them.

    Args:
        call: the call to run.
        control: of this process, which delivers stops.
        sandbox_prefix: prefix of the path of a sandbox.

    Raises:
        Exception: any that the function raises.
        BadStdStreamFile: a file for the output cannot be opened; the function was not called.
        ConfigurationError: the sandbox cannot hold the inputs and outputs; the function was not called.
    """
    options = call.options
    control.hold()
    with contextlib.ExitStack() as undo:
        stdout, stderr = open_sinks(target_of(options.stdout, "stdout"), target_of(options.stderr, "stderr"), undo)
        if options.sandbox:
            folder = undo.enter_context(sandbox_of(options, sandbox_prefix))
            undo.enter_context(_working_directory(folder))
        undo.enter_context(_variables(options.env))
        for number, sink in ((1, stdout), (2, stderr)):
            if sink is not None:
                undo.enter_context(_redirect(number, sink.file))
        control.release()
        try:
            return call_function(call.function, call.args, call.kwargs)
        finally:
            control.hold()


@contextlib.contextmanager
def _working_directory(folder: str) -> Iterator[None]:
    home = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)


@contextlib.contextmanager
def _variables(added: Mapping[str, str]) -> Iterator[None]:
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
def _redirect(number: int, file: IO[Any]) -> Iterator[None]:
    """Make descriptor *number* refer to *file*, for this process and those that it starts."""
    _flush(number)
    try:
        before = os.dup(number)
    except OSError:  # an earlier task, or whoever started this process, has closed it
        before = -1
    os.dup2(file.fileno(), number)
    try:
        with _python_stream(number):
            yield
    finally:
        _flush(number)
        if before < 0:
            os.close(number)
        else:
            os.dup2(before, number)
            os.close(before)


@contextlib.contextmanager
def _python_stream(number: int) -> Iterator[None]:
    """Give ``sys.stdout`` or ``sys.stderr`` a stream for descriptor *number* if it is None or closed."""
    name = "stdout" if number == 1 else "stderr"
    before = getattr(sys, name, None)
    if before is not None and not getattr(before, "closed", False):
        yield
        return
    with os.fdopen(number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False) as stream:
        setattr(sys, name, stream)
        try:
            yield
        finally:
            setattr(sys, name, before)


def _flush(number: int) -> None:
    """Flush the buffers of Python and of C for descriptor *number*."""
    stream: Optional[IO[str]] = sys.stdout if number == 1 else sys.stderr
    with contextlib.suppress(OSError, ValueError, AttributeError):  # the task may have closed or replaced it
        if stream is not None:
            stream.flush()
    with contextlib.suppress(ImportError, OSError, AttributeError):  # an image's Python may lack ctypes
        import ctypes

        ctypes.CDLL(None).fflush(None)
