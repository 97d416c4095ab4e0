"""Runs a user's script or module in this process, as ``python SCRIPT`` and ``python -m MODULE`` do."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXCEPTION = 1
"""Exit code of a script that an exception ended."""

INTERRUPTED = 130
"""Exit code that a shell reports for a process that Ctrl-C ended (128 + SIGINT)."""


class Program(NamedTuple):
    """A script or module that runs as ``__main__``."""

    path: str
    """First entry of its ``sys.argv``."""

    attributes: dict[str, Any]
    """Those of the module ``__main__`` that the interpreter sets."""

    compiled: Callable[[], CodeType]
    """Compiles it; a SyntaxError is one of the script."""


def find_script(path: str, args: Sequence[str]) -> Program:
    """Prepare ``sys.argv`` and ``sys.path`` as ``python SCRIPT ARGS`` does, and return the script.

    Raises:
        ConfigurationError: there is no such file.
    """
    file = Path(path)
    if not file.is_file():
        what = "is a folder; name a script in it" if file.is_dir() else "does not exist"
        raise ConfigurationError(f"The script {path!r} {what}.")
    sys.argv = [path, *args]
    _put_first_on_path(str(file.resolve().parent))
    full = str(file.absolute())
    attributes = {"__file__": full, "__loader__": SourceFileLoader("__main__", full)}
    return Program(path, attributes, lambda: compile(file.read_bytes(), full, "exec", dont_inherit=True))


def find_module(name: str, args: Sequence[str]) -> Program:
    """Prepare ``sys.argv`` and ``sys.path`` as ``python -m MODULE ARGS`` does, and return the module.

    The module's package is imported, with ``-m`` as the first entry of ``sys.argv``, as under Python. The ``__main__``
    of a package is run.

    Raises:
        ConfigurationError: no such module is found, or it cannot be run.
    """
    sys.argv = ["-m", *args]
    _put_first_on_path(str(Path.cwd()))
    spec = _spec(name)
    if spec.submodule_search_locations is not None:
        spec = _spec(f"{name}.__main__", f"{name!r} is a package without a module __main__")
    code = getattr(spec.loader, "get_code", lambda _: None)(spec.name)
    if code is None:
        raise ConfigurationError(f"The module {spec.name!r} has no Python code to run.")
    path = spec.origin or spec.name
    sys.argv[0] = path
    attributes = {
        "__file__": path,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
        "__cached__": spec.cached,
    }
    return Program(path, attributes, lambda: code)


def _spec(name: str, otherwise: str = "") -> ModuleSpec:
    """Spec of the module *name*; its package is imported.

    Raises:
        ConfigurationError: there is none.
    """
    if name.endswith(".py"):  # Python would first import what is before the dot
        raise ConfigurationError(f"{name!r} is the name of a file: write -m MODULE without '.py', or leave out -m.")
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:  # of a package above it
        if not (error.name and f"{name}.".startswith(f"{error.name}.")):
            raise
        raise ConfigurationError(f"No module is called {name!r}: {error}.") from error
    except ValueError as error:  # such as a name that begins with a dot
        raise ConfigurationError(f"No module is called {name!r}: {error}.") from error
    if spec is None:
        raise ConfigurationError(f"{otherwise or f'No module is called {name!r}'}.")
    return spec


def _put_first_on_path(folder: str) -> None:
    if not getattr(sys.flags, "safe_path", False):  # `python -P` (3.11) puts no folder there
        sys.path[0] = folder


def run_as_main(program: Program, *, before_traceback: Callable[[], object] | None = None) -> int:
    """Run *program* as Python would, to the exit code.

    Its module is ``__main__``, and remains so after the return: its functions are pickled by value, also in functions
    that run at exit. An uncaught exception is passed to ``sys.excepthook`` without this function's frames.

    Args:
        program: as `find_script` or `find_module` returns it.
        before_traceback: called before the hook prints an uncaught exception.

    Returns:
        The exit code of a program that ended or raised.

    Raises:
        SystemExit: the program's own.
    """
    main = ModuleType("__main__")
    main.__dict__.update(program.attributes, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    try:
        exec(program.compiled(), main.__dict__)  # noqa: S102 - running the user's script is what this command is for
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - any exception of the script is shown to the user
        if before_traceback:
            before_traceback()
        error.__traceback__ = _without_own_frames(error.__traceback__)  # the hook prints this one, not its argument
        sys.excepthook(type(error), error, error.__traceback__)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXCEPTION
    return 0


def _without_own_frames(traceback: TracebackType | None) -> TracebackType | None:
    """*traceback* without its frames in this module; None for a script that did not compile."""
    while traceback and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    return traceback
