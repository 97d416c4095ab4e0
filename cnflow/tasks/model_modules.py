"""Imports the module of a model and sets it up; errors say where it was looked for.

::

    first call in a process ──> import the module ──> setup(), if it has one ──> its functions
    each later call ──the same module object and spec──────────────────────────> its functions
                                    └── either raised: the call fails, and the next one begins here again

A setup that fails is called again, since what it needs (a server of weights, a device) may be there by then.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable

from cnflow.errors.apps import PredictModuleError
from cnflow.tasks.coroutines import call_function
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

SETUP = "setup"
"""Name of the function of a module that is called once in each process, before its first call."""

_ready: dict[str, tuple[ModuleType, object]] = {}
"""Modules whose setup has returned, with their specs: a reloaded module has another spec, and is set up again."""

lock = threading.RLock()
"""Held during import, setup and teardown: threads of the driver may begin at once."""


def is_ready(name: str) -> bool:
    """Return True if the module *name*, as it is now, is imported and set up."""
    loaded = sys.modules.get(name)
    return loaded is not None and _ready.get(name) == (loaded, getattr(loaded, "__spec__", None))


def prepare(name: str) -> ModuleType:
    """Import the module *name* and set it up, unless that is done.

    Raises:
        PredictModuleError: there is no such module.
        Exception: any that the module raises.
    """
    with lock:
        module = _import(name)
        spec = getattr(module, "__spec__", None)
        if _ready.get(name) == (module, spec):
            return module  # by another thread meanwhile
        setup = getattr(module, SETUP, None)
        if callable(setup):
            try:
                call_function(setup, (), {})
            except Exception as error:
                add_note(error, f"Raised by {SETUP}() of {name}, {place()}. The next task there calls it again.")
                raise
        _ready[name] = module, spec
        return module


def forget(name: str) -> None:
    """Let the next call set the module *name* up again."""
    _ready.pop(name, None)


def find_function(module: ModuleType, path: str) -> Callable[..., Any]:
    """Return what *path*, a name with dots, names in *module*.

    Raises:
        PredictModuleError: there is no such function; the message has those that there are.
    """
    found = find(module, path)
    if callable(found):
        return found  # type: ignore[no-any-return]  # the user's
    public = sorted(name for name, value in vars(module).items() if inspect.isroutine(value) and name[0] != "_")
    known = f"Its functions: {', '.join(public)}." if public else "It has no functions."
    what = "has no function" if found is None else f"has a {type(found).__name__}, which cannot be called, as"
    raise PredictModuleError(
        f"predict_app(module={module.__name__!r}, function={path!r}): the module {what} {path!r} {place()} "
        f"({getattr(module, '__file__', None) or 'without a file'}).{did_you_mean(path, public)} {known}"
    )


def find(module: ModuleType, path: str) -> Any:  # noqa: ANN401 - the user's values
    """Return what *path* names in *module*; None if it has no such thing."""
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def place() -> str:
    """Words on the place of this process: its image, or its Python."""
    image = os.environ.get("CNFLOW_WORKER_IMAGE", "")
    return f"in image {image!r}" if image else f"in Python {sys.executable}"


def add_note(error: BaseException, note: str) -> None:
    """Add *note* to what is shown of *error*, where Python can."""
    if sys.version_info >= (3, 11):
        error.add_note(note)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not error.name or not f"{name}.".startswith(f"{error.name}."):
            raise  # one that the module imports
        parent, _, child = error.name.rpartition(".")
        missing = f"{parent!r} has no module {child!r}" if parent else f"no module {name!r} is found"
        folders = ", ".join(entry for entry in sys.path if os.path.isdir(entry))
        raise PredictModuleError(
            f"predict_app(module={name!r}): {missing} {place()}. Python looks in sys.path: {folders}. Copy the module "
            "into one of these folders when the image is built, or set PYTHONPATH there; a package of this machine "
            "travels with local_packages=."
        ) from None
