"""Calls ``predict(list)`` of a module that is installed where the task runs; the driver knows only its name.

::

    first task in a process ──> import the module ──> setup(), if it has one ──> predict(rows)
    each later task ─────────────────────────────────────────────────────────────> predict(rows)
                                    └── either raised: the task fails, and the next one begins here again

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
"""Name of the function of a module that is called once in each process, before its first task."""

_ready: dict[str, tuple[ModuleType, object]] = {}
"""Modules whose setup has returned, with their specs: a reloaded module has another spec, and is set up again."""

_lock = threading.RLock()
"""Held during import and setup: threads of the driver may begin at once."""


def call_predict(module: str, function: str, rows: Any) -> Any:  # noqa: ANN401 - the user's values
    """Return ``function(rows)`` of *module*: a list, array or other value with a result for each row.

    Args:
        module: full name, as in an import.
        function: name in the module, with dots for an attribute of an object there.
        rows: list, or another value that has a length.

    Raises:
        PredictModuleError: the module or its function is missing, or its result is not as long as *rows*.
        Exception: any that the module raises.
    """
    if not hasattr(rows, "__len__"):
        raise PredictModuleError(
            f"{module}.{function} takes a list of rows, not a value of type {type(rows).__name__}."
        )
    loaded = sys.modules.get(module)
    if loaded is None or _ready.get(module) != (loaded, getattr(loaded, "__spec__", None)):
        loaded = _prepare(module)
    result = call_function(_function_of(loaded, function), (rows,), {})
    _compare_lengths(f"{module}.{function}", rows, result)
    return result


def _prepare(name: str) -> ModuleType:
    """Import the module and set it up."""
    with _lock:
        module = _import(name)
        spec = getattr(module, "__spec__", None)
        if _ready.get(name) == (module, spec):
            return module  # by another thread meanwhile
        setup = getattr(module, SETUP, None)
        if callable(setup):
            try:
                call_function(setup, (), {})
            except Exception as error:
                if sys.version_info >= (3, 11):
                    error.add_note(f"Raised by {SETUP}() of {name}, {_place()}. The next task there calls it again.")
                raise
        _ready[name] = module, spec
        return module


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
            f"predict_app(module={name!r}): {missing} {_place()}. Python looks in sys.path: {folders}. Copy the module "
            "into one of these folders when the image is built, or set PYTHONPATH there; a package of this machine "
            "travels with local_packages=."
        ) from None


def _function_of(module: ModuleType, path: str) -> Callable[..., Any]:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]  # the user's
    public = sorted(name for name, value in vars(module).items() if inspect.isroutine(value) and name[0] != "_")
    known = f"Its functions: {', '.join(public)}." if public else "It has no functions."
    what = "has no function" if found is None else f"has a {type(found).__name__}, which cannot be called, as"
    raise PredictModuleError(
        f"predict_app(module={module.__name__!r}, function={path!r}): the module {what} {path!r} {_place()} "
        f"({getattr(module, '__file__', None) or 'without a file'}).{did_you_mean(path, public)} {known}"
    )


def _compare_lengths(name: str, rows: Any, result: Any) -> None:  # noqa: ANN401 - the user's values
    if not hasattr(result, "__len__"):
        raise PredictModuleError(
            f"{name} returned a value of type {type(result).__name__}, which has no length, instead of a result for "
            f"each of {len(rows)} rows. Use a python_app for a function of another kind."
        )
    if len(result) != len(rows):
        raise PredictModuleError(
            f"{name} returned {len(result)} results for {len(rows)} rows, {_place()}. It must return one for each row, "
            "in order. Use a python_app for a function of another kind."
        )


def _place() -> str:
    image = os.environ.get("CNFLOW_WORKER_IMAGE", "")
    return f"in image {image!r}" if image else f"in Python {sys.executable}"
