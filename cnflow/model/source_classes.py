"""Classes of the user's script in another Python: made by the machinery of that Python, not copied from the driver's.

::

    dataclass    its fields, and what the user wrote in it ──> dataclasses.dataclass here
    named tuple  its fields and defaults ──────────────────> collections.namedtuple here
    enumeration  its members ──────────────────────────────> its metaclass here (cloudpickle's maker), then their
                                                             attributes
    any other    bases, then attributes, with methods from source (`source_code`)

Pickles call these functions. Standard library only.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import operator
import typing
import weakref
from typing import Any

from cnflow.errors import PythonMismatchError
from cnflow.model import pickle_hooks, source_code
from cnflow.model.source_code import MINOR

CLASS_VARIABLE, INIT_ONLY = "_FIELD_CLASSVAR", "_FIELD_INITVAR"
"""Names of the kinds of fields in `dataclasses` that are no attributes of instances."""

_WRAPPERS: dict[str, Any] = {CLASS_VARIABLE: typing.ClassVar, INIT_ONLY: dataclasses.InitVar}

class_ids: weakref.WeakKeyDictionary[type, str] = weakref.WeakKeyDictionary()
"""Classes that came from a driver of another minor version of Python, with their ids there."""


def named_tuple(name: str, fields: tuple[str, ...], defaults: tuple[Any, ...], module: str, qualname: str) -> type:
    """Return a new class of named tuples."""
    made: type = collections.namedtuple(name, fields, defaults=defaults)  # type: ignore[misc]  # noqa: PYI024 - made at run time
    made.__module__, made.__qualname__ = module, qualname
    return made


def define(cls: type, state: dict[str, Any]) -> None:
    """Fill a class that a pickle has made, unless that was done before."""
    class_ids[cls] = state["id"]
    source_code.on_code_from(state["python"])
    if cls in pickle_hooks.defined_classes:
        return
    pickle_hooks.defined_classes.add(cls)
    registry: tuple[type, ...] = ()
    for name, value in state["attributes"].items():
        if name == "_abc_impl":
            registry = value
        elif name == "__annotations__" and state["dataclass"] is None:
            cls.__annotations__ = value
        else:
            setattr(cls, name, value)
    for each in registry:
        cls.register(each)  # type: ignore[attr-defined]  # an abstract base class
    for name, attributes in state["members"].items():
        cls[name].__dict__.update(attributes)  # type: ignore[index]  # an enumeration
    if state["dataclass"] is not None:
        _make_dataclass(cls, *state["dataclass"])


def _make_dataclass(cls: type, parameters: dict[str, bool], fields: list[dict[str, Any]]) -> None:
    """Let `dataclasses.dataclass` of this Python write the methods of *cls*."""
    # Members of slots, and values that were set after the class was made: the fields take their places for a moment.
    present = {field["name"]: vars(cls)[field["name"]] for field in fields if field["name"] in vars(cls)}
    cls.__annotations__ = {}
    for options in fields:
        options = dict(options)  # noqa: PLW2901 - the pickle's own
        name, kind, annotation = options.pop("name"), options.pop("kind"), options.pop("annotation")
        if not options.pop("kw_only", False):
            pass
        elif "kw_only" in getattr(dataclasses.Field, "__slots__", ()):
            options["kw_only"] = True
        else:
            raise PythonMismatchError(
                f"The dataclass {cls.__qualname__} has keyword-only fields, which Python {MINOR} does not know. Use an "
                "image with Python 3.10 or newer."
            )
        if isinstance(annotation, str) and kind in _WRAPPERS:
            annotation = _WRAPPERS[kind][annotation]  # the text may use a name for it that is not here
        cls.__annotations__[name] = annotation
        if kind == CLASS_VARIABLE:
            continue
        made: Any = dataclasses.field(**options)
        setattr(cls, name, made)
    dataclasses.dataclass(**parameters)(cls)
    for name, value in present.items():
        setattr(cls, name, value)


def union(args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a type
    """Return ``a | b``, also before Python 3.10."""
    try:
        return functools.reduce(operator.or_, args)
    except TypeError:
        return typing.Union[args]


def generic(origin: Any, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - a type
    """Return ``origin[args]``; its text where this Python has no such type."""
    try:
        return origin[args]
    except TypeError:
        names = ", ".join(getattr(each, "__qualname__", repr(each)) for each in args)
        return f"{getattr(origin, '__qualname__', origin)}[{names}]"


def special_form(name: str) -> Any:  # noqa: ANN401 - a form of `typing`
    """Return that name of `typing`; the name itself where this Python does not have it."""
    return getattr(typing, name, name)


def frozen_state(instance: Any) -> list[Any]:  # noqa: ANN401 - a user's
    """Return the state of a frozen dataclass with slots, as Python 3.10 and newer pickle it."""
    return [getattr(instance, field.name) for field in dataclasses.fields(instance)]


def set_frozen_state(instance: Any, state: list[Any]) -> None:  # noqa: ANN401 - as above
    """Set what `frozen_state` has returned."""
    for field, value in zip(dataclasses.fields(instance), state):
        object.__setattr__(instance, field.name, value)
