"""Runs a user's script in this process as the interpreter itself would."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RAISED = 1
INTERRUPTED = 130
"""What a shell reports for a process that Ctrl-C ended (128 + SIGINT)."""


def run_as_main(script: Path, args: Sequence[str], *, before_traceback: Callable[[], object] | None = None) -> int:
    """Run *script* as ``python SCRIPT ARGS`` would, from ``sys.argv`` to the exit code.

    Its module is ``__main__`` and stays so after the return: functions defined in it pickle by value, also for what
    runs at exit. An exception that it does not catch goes to ``sys.excepthook`` without this function's own frames,
    after *before_traceback* was called.

    Returns:
        The exit code, where the script returned or raised.

    Raises:
        SystemExit: the script's own, with whatever code or message it has.
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
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the script's and goes to the user
        if before_traceback:
            before_traceback()
        error.__traceback__ = _from_the_script_on(error.__traceback__)  # the hook prints this one, whatever it is given
        sys.excepthook(type(error), error, error.__traceback__)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else RAISED
    return 0


def _module(script: Path) -> ModuleType:
    """An empty ``__main__`` with the attributes that the interpreter gives it."""
    path = str(script.absolute())
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __loader__=SourceFileLoader("__main__", path), __builtins__=__builtins__)
    return main


def _code(script: Path) -> CodeType:
    return compile(script.read_bytes(), str(script.absolute()), "exec", dont_inherit=True)


def _from_the_script_on(traceback: TracebackType | None) -> TracebackType | None:
    """*traceback* less its frames in this module; None for a script that did not compile."""
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback
