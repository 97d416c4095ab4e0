"""Functions that pickles name and workers must find. Standard library only."""

from __future__ import annotations

import functools
import weakref
from importlib import import_module
from typing import Any, Callable, Optional, TypeVar

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


# What cloudpickle makes of the user's functions and classes; see `cnflow.wire.code_pickler`

defined_classes: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that this process has defined, by the user's script or from a pickle."""


def define_class(cls: type, state: tuple[Function, Any]) -> None:
    """Set the state of a class that a pickle has made, unless it is one of this process already.

    A result brings the classes of its objects with it, as they were when their task was sent. They are the driver's
    own, and the user may have changed them since.
    """
    setter, content = state
    if cls not in defined_classes:
        setter(cls, content)
        defined_classes.add(cls)


def set_enumeration(cls: Any, state: tuple[tuple[Function, Any], dict[str, dict[str, Any]]]) -> None:  # noqa: ANN401 - an enumeration
    """Set the state of an enumeration, and the attributes of its members, which were made without its ``__init__``."""
    (setter, content), members = state
    setter(cls, content)
    for name, attributes in members.items():
        cls[name].__dict__.update(attributes)


def cached(function: Function, maxsize: Optional[int], typed: bool) -> Function:  # noqa: FBT001 - named in pickles
    """Return *function* with a `functools.lru_cache` of its own."""
    made: Any = functools.lru_cache(maxsize, typed)(function)
    if not hasattr(made, "cache_parameters"):  # Python 3.8
        made.cache_parameters = lambda: {"maxsize": maxsize, "typed": typed}
    return made  # type: ignore[no-any-return]


def dispatching(function: Function) -> Function:
    """Return the `functools.singledispatch` of *function*."""
    return functools.singledispatch(function)


def register_all(dispatcher: Any, state: tuple[dict[type, Function], str, str]) -> None:  # noqa: ANN401 - has attributes
    """Register the implementations of a `functools.singledispatch`, and restore its name."""
    implementations, dispatcher.__module__, dispatcher.__qualname__ = state
    for kind, implementation in implementations.items():
        dispatcher.register(kind, implementation)
