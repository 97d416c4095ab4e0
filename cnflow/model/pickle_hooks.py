"""What a pickle may name and a worker has to find; standard library only."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, TypeVar

Value = TypeVar("Value")
Function = Callable[..., Any]


def itself(value: Value) -> Value:
    """*value*: an app pickles as the call of this on its function, so that inside a task it is the plain function."""
    return value


def after_import(module: str, function: Function) -> Function:
    """*function*, once *module* is imported: what a pickled function of such a script loads as."""
    import_module(module)
    return function


class Prepared:
    """Stands for *function* in a pickle, and is loaded as that by `after_import`."""

    def __init__(self, module: str, function: Function) -> None:
        self.module = module
        self.function = function

    def __reduce__(self) -> tuple[Any, ...]:
        return after_import, (self.module, self.function)


prelude = ""
"""Module that a worker imports before any function of this process; empty for none. A compatibility layer sets it."""


def prepared(function: Function) -> object:
    """What to pickle in the place of *function*."""
    return Prepared(prelude, function) if prelude else function
