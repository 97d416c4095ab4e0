"""Functions that pickles name and workers must find. Standard library only."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, TypeVar

Value = TypeVar("Value")
Function = Callable[..., Any]


def itself(value: Value) -> Value:
    """Return *value*: an app pickles as a call of this with its function, and is the plain function inside a task."""
    return value


def after_import(module: str, function: Function) -> Function:
    """Import *module* and return *function*; a `FunctionWithImport` is unpickled by this."""
    import_module(module)
    return function


class FunctionWithImport:
    """Pickles as *function*, whose unpickling imports *module* first."""

    def __init__(self, module: str, function: Function) -> None:
        self.module = module
        self.function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return after_import, (self.module, self.function)


prelude = ""
"""Module that workers import before they load a function of this process. A compatibility layer sets it."""


def picklable(function: Function) -> object:
    """Return the object to pickle in place of *function*: itself, or itself with the import of `prelude`."""
    return FunctionWithImport(prelude, function) if prelude else function


identities: tuple[type, ...] = ()
"""Types whose instances are never copied within this process, since they would pickle as something else, or not."""


def keep_identity(kind: type) -> type:
    """Add *kind* to `identities`; a decorator of classes."""
    global identities  # noqa: PLW0603 - a registry of two
    identities = (*identities, kind)
    return kind
