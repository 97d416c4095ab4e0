"""Runs a user's script in this process, as ``python SCRIPT`` does."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

EXCEPTION = 1
"""Exit code of a script that an exception ended."""

INTERRUPTED = 130
"""Exit code that a shell reports for a process that Ctrl-C ended (128 + SIGINT)."""


def run_as_main(script: Path, args: Sequence[str], *, before_traceback: Callable[[], object] | None = None) -> int:
    """Run *script* as ``python SCRIPT ARGS`` would, from ``sys.argv`` to the exit code.

    The script's module is ``__main__``, and remains so after the return: its functions are pickled by value, also in
    functions that run at exit. An uncaught exception is passed to ``sys.excepthook`` without this function's frames.

    Args:
        script: file to run.
        args: arguments of the script.
        before_traceback: called before the hook prints an uncaught exception.

    Returns:
        The exit code of a script that ended or raised.

    Raises:
        SystemExit: the script's own.
    """
    main = _module(script)
    sys.argv = [str(script), *args]
    if not getattr(sys.flags, "safe_path", False):  # `python -P` (3.11) puts no folder there
        sys.path[0] = str(script.resolve().parent)
    sys.modules["__main__"] = main
    try:
        exec(_code(script), main.__dict__)  # noqa: S102 - running the user's script is what this command is for
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - any exception of the script is shown to the user
        if before_traceback:
            before_traceback()
        error.__traceback__ = _without_own_frames(error.__traceback__)  # the hook prints this one, not its argument
        sys.excepthook(type(error), error, error.__traceback__)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXCEPTION
    return 0


def _module(script: Path) -> ModuleType:
    """Create an empty ``__main__`` with the attributes that the interpreter sets."""
    path = str(script.absolute())
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __loader__=SourceFileLoader("__main__", path), __builtins__=__builtins__)
    return main


def _code(script: Path) -> CodeType:
    return compile(script.read_bytes(), str(script.absolute()), "exec", dont_inherit=True)


def _without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """*traceback* without its frames in this module; None for a script that did not compile."""
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback
