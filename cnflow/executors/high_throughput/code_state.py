"""What a function and all that it refers to were at one moment, to see later whether they still are that.

::

    function ──> its code, defaults, closure ──┐
             └─> globals that it reads ────────┤ functions, classes, dicts, lists, plain instances: the same again
                                               │ numbers, texts, modules, what is imported by name: cannot change
                                               v anything else: `is_provable` is False, since only a pickle shows it
    CodeState: reads and what they gave ──holds()──> each read again gives the very same objects

Two objects that are one are equal. So the look costs a comparison of addresses for each name that the function reads,
runs none of the user's code, and is at the most too strict.
"""

from __future__ import annotations

import collections
import dis
import enum
import functools
import logging
import re
from itertools import repeat
from operator import is_
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from cnflow.executors.high_throughput.own_modules import rules
from cnflow.model import pickle_hooks
from cnflow.tasks.arguments import ATOMS, CONSTANT_MODULES
from cnflow.tasks.plain_instances import is_plain_instance
from cnflow.wire import serialization
from cnflow.wire.code_pickler import DISPATCHER, LRU_CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Read = Callable[..., Sequence[Any]]

_MOST_VALUES = 2_000
"""Values above which pickling again is about as fast as the look."""

_MISSING = object()
_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "STORE_GLOBAL", "DELETE_GLOBAL"}
_LEAVES = (
    BuiltinFunctionType,
    CodeType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
    logging.Logger,
    re.Pattern,
    type(classmethod.__dict__["__func__"]),
    type(collections.namedtuple("Pair", "first second").first),  # type: ignore[attr-defined]  # noqa: PYI024 - the type is wanted
)
"""Types whose values cannot change in what is pickled of them."""

_MADE_BY_PYTHON = frozenset(
    {
        "__abstractmethods__",
        "__annotate_func__",
        "__annotations__",
        "__annotations_cache__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__dict__",
        "__doc__",
        "__slotnames__",
        "__weakref__",
        "_abc_impl",
    }
)
"""Attributes of a class that follow from its definition."""


class CodeState:
    """State of *root*, a function or class; the module has a picture.

    Attributes:
        is_provable: False if the state has parts that can change and cannot be compared.
    """

    __slots__ = ("_before", "_checks", "_is_expired", "_reads", "is_provable")

    def __init__(self, root: object) -> None:
        self._is_expired = False
        self._reads: list[tuple[Read, tuple[Any, ...]]] = []
        self._before: list[Any] = []
        """Gained by `_reads` together, each of which always gives as many objects."""

        self._checks: list[tuple[Read, tuple[Any, ...], Sequence[Any]]] = []
        self.is_provable = self._walk(root)

    def holds(self) -> bool:
        """Return True if nothing has changed for certain. Safe while other threads change things."""
        if not self.is_provable or self._is_expired:
            return False
        together: list[Any] = []
        try:
            for read, args in self._reads:
                together += read(*args)
            if not all(map(is_, together, self._before)):
                return False
            for read, args, before in self._checks:
                now = read(*args)
                if len(now) != len(before) or not all(map(is_, now, before)):
                    return False
        except RuntimeError:  # a dict that changes while it is read
            return False
        return True

    def expire(self) -> None:
        """Let the state hold no more: it may be that of another moment than what is kept with it."""
        self._is_expired = True

    def _walk(self, root: object) -> bool:
        left: list[Any] = [root]
        seen: dict[int, Any] = {}
        while left:
            value = left.pop()
            if type(value) in ATOMS or id(value) in seen:
                continue
            seen[id(value)] = value
            if len(seen) > _MOST_VALUES:
                return False
            reads, parts = _take_apart(value)
            if reads is None:
                return False
            try:
                for read, *args in reads:
                    before = read(*args)
                    if read in _FIXED:
                        self._reads.append((read, tuple(args)))
                        self._before += before
                    else:
                        self._checks.append((read, tuple(args), before))
                    left.extend(before)
            except RuntimeError:  # as in `holds`
                return False
            left.extend(parts)
        return True


_Reads = list[tuple[Any, ...]]

_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    tuple: tuple,
    frozenset: tuple,
    MethodType: lambda method: (method.__func__, method.__self__),
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    property: lambda prop: (prop.fget, prop.fset, prop.fdel),
    functools.partial: lambda partial: (partial.func, partial.args, partial.keywords),
    functools.cached_property: lambda prop: (prop.func,),
    LRU_CACHE: lambda wrapper: () if serialization.is_by_name(wrapper) else (wrapper.__wrapped__,),
}
"""Parts of values that cannot change themselves."""


def _take_apart(value: Any) -> tuple[_Reads | None, Iterable[Any]]:  # noqa: ANN401, PLR0911 - a case for each type
    """Return how to read what can change of *value*, and its parts that cannot; None if that is not known."""
    kind = type(value)
    if kind is FunctionType:
        return _take_function_apart(value)
    if kind in _PARTS:
        return [], _PARTS[kind](value)
    if isinstance(value, type):
        return _take_class_apart(value)
    if kind in _READS_OF:
        return [(_READS_OF[kind], value)], ()
    if isinstance(value, enum.Enum):
        return [], (kind,)
    if isinstance(value, tuple) and not kind.__dictoffset__:
        return [], (kind, *tuple.__iter__(value))  # a named tuple
    if isinstance(value, pickle_hooks.identities):
        return ([(_function_of_app, value)] if hasattr(value, "function") else None), ()  # else a reference to data
    if isinstance(value, _LEAVES) or kind.__module__.partition(".")[0] in CONSTANT_MODULES:
        return [], ()
    return ([(_attributes_of, value)], ()) if is_plain_instance(kind) else (None, ())


def _take_function_apart(function: FunctionType) -> tuple[_Reads, Iterable[Any]]:
    is_sent_as_source = rules.is_sent_as_source(function)  # else its module is pickled by value from now on
    if serialization.is_by_name(function) or (is_sent_as_source and rules.has_name(function)):
        return [], ()
    if function.__code__ is DISPATCHER:
        return [(_implementations_of, function)], ()
    names = _globals_in(function.__code__)
    reads: _Reads = [(_parts_of_function, function)]
    if function.__dict__:
        reads.append((_items_of_dict, function.__dict__))
    if names and not is_sent_as_source:  # versions of its module show what changes there
        reads.append((_globals_of, function.__globals__, names))
    return reads, ()


def _take_class_apart(cls: type) -> tuple[_Reads, Iterable[Any]]:
    rules.is_sent_as_source(cls)  # or by value from now on
    if serialization.is_by_name(cls):
        return [], ()
    return [(_members_of, cls)], (type(cls),)


@functools.lru_cache(maxsize=4096)
def _globals_in(code: CodeType) -> tuple[str, ...]:
    """Names of globals that cloudpickle sends along with *code*."""
    names = {str(step.argval) for step in dis.get_instructions(code) if step.opname in _READS}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(_globals_in(constant))
    return tuple(sorted(names))


# Reads: fast, since they are done for each call of an app


def _parts_of_function(function: FunctionType) -> list[Any]:
    parts: list[Any] = [function.__code__, function.__defaults__, function.__kwdefaults__, not function.__dict__]
    if function.__closure__:
        parts += function.__closure__
    return parts


def _globals_of(variables: dict[str, Any], names: Sequence[str]) -> list[Any]:
    return [*map(variables.get, names, repeat(_MISSING))]


def _content_of_cell(cell: CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not set yet
        return []


def _items_of_dict(items: dict[Any, Any]) -> list[Any]:
    return [*items, *items.values()]


def _members_of(cls: type) -> list[Any]:
    members: list[Any] = [cls.__bases__]
    for name, value in vars(cls).items():
        if name not in _MADE_BY_PYTHON:
            members += (name, value)
    return members


def _attributes_of(instance: Any) -> list[Any]:  # noqa: ANN401 - a user's
    return [type(instance), *_items_of_dict(instance.__dict__)]


def _implementations_of(dispatcher: Any) -> list[Any]:  # noqa: ANN401 - a function with attributes
    return [*dispatcher.registry, *dispatcher.registry.values()]


def _function_of_app(app: Any) -> list[Any]:  # noqa: ANN401 - an app
    return [app.function]


_FIXED = frozenset({_parts_of_function, _globals_of, _function_of_app})
"""Reads that give as many objects each time; all are compared at once."""

_READS_OF: dict[type, Read] = {list: list, set: list, dict: _items_of_dict, CellType: _content_of_cell}
