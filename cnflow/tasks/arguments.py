"""Copies arguments, so that a task is given what they were at the call. No I/O.

::

    arguments ──nothing in them can change──────────────────────────────> as they are
        │
        ├─lists, dicts, sets, tuples, bytearrays, arrays, files─────────> a copy of each
        ├─instances among them──pickled and loaded again, all in one────> copies that refer to each other as before
        └─one of them cannot be pickled (a lock, a file, a connection,
          instances that hold each other a thousand levels deep)────────> that one as it is, the others as above

What an instance holds is copied with it or not at all: a queue whose lock cannot be copied is shared as a whole, since
a copy with the same lock would be neither. Futures, functions, classes and modules are passed as they are, and so is an
object whose class has a ``__del__``, which would run for the copy, too.
"""

from __future__ import annotations

import array
import enum
import io
import operator
import pickle
from concurrent.futures import Future
from copy import copy
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Callable

from cnflow.model import pickle_hooks
from cnflow.model.file import File
from cnflow.tasks.walks import run_walk
from cnflow.text import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Generator

    from cnflow.tasks.walks import Walk

ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, range, type(Ellipsis), object})
"""Types whose values cannot change, and hold nothing that can."""

_AS_THEY_ARE = (Future, FunctionType, BuiltinFunctionType, type, ModuleType, enum.Enum)
CONSTANT_MODULES = frozenset({"datetime", "decimal", "fractions", "pathlib", "uuid", "ipaddress", "zoneinfo"})
"""Modules of the standard library whose values cannot change."""


def is_constant(value: Any) -> bool:  # noqa: ANN401 - any user's value
    """Return True if *value* is passed as it is, since nothing in it can change, or since it is not to be copied."""
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return ATOMS.issuperset(map(type, value)) or _holds_constants(value)
    if kind is dict or kind is list:
        return False
    return _is_passed_as_it_is(kind)


def _holds_constants(value: Any) -> bool:  # noqa: ANN401 - a tuple or a frozenset, of any depth
    rest, seen = [value], {id(value)}
    while rest:
        for part in rest.pop():
            kind = type(part)
            if kind is tuple or kind is frozenset:
                if id(part) not in seen:
                    seen.add(id(part))
                    rest.append(part)
            elif not is_constant(part):
                return False
    return True


def _is_passed_as_it_is(kind: type) -> bool:
    # By class: `isinstance` reads `__class__` of the value, which a proxy computes, and which may raise.
    return (
        issubclass(kind, _AS_THEY_ARE)
        or kind.__module__.partition(".")[0] in CONSTANT_MODULES
        or issubclass(kind, pickle_hooks.identities)
    )


def are_constant(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return True if the arguments of a call need no copy. Called for every task."""
    return (ATOMS.issuperset(map(type, args)) or all(map(is_constant, args))) and (
        not kwargs or all(map(is_constant, kwargs.values()))
    )


def copy_of(value: Any) -> Any:  # noqa: ANN401 - any user's value
    """Return a copy of *value* which is not changed by what is done to *value*; see the module."""
    try:
        return _Copier(_refuse_instance).copy(value)
    except _InstanceError:
        pass
    try:
        return _pickled_and_loaded(value)
    except BaseException as error:  # a user's type may fail in any way; then part by part
        if is_ctrl_c(error):
            raise
        return _Copier(_copy_instance).copy(value)


class _InstanceError(Exception):
    """A value is no plain container."""


def _refuse_instance(value: Any) -> Any:  # noqa: ANN401, ARG001 - as _copy_instance
    raise _InstanceError


def _copy_instance(value: Any) -> Any:  # noqa: ANN401
    try:
        return _pickled_and_loaded(value)
    except BaseException as error:  # it is shared, as the module's docstring has it
        if is_ctrl_c(error):
            raise
        return value


class _Copier:
    """One walk through containers. An object met twice is copied once, and stays one object.

    Args:
        copy_other: returns the copy of a value that is no plain container.
    """

    __slots__ = ("_copy_other", "_made")

    def __init__(self, copy_other: Callable[[Any], Any]) -> None:
        self._copy_other = copy_other
        self._made: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:  # noqa: ANN401
        """Return a copy of *value*, of any depth."""
        made = self._copy_at_once(value)
        return run_walk(self._walk(value)) if made is _LATER else made

    def _copy_at_once(self, value: Any) -> Any:  # noqa: ANN401
        """Return the copy of what is no container of others; `_LATER` for a container that was not met before."""
        kind = type(value)
        if kind in ATOMS:
            return value
        key = id(value)
        if key in self._made:
            return self._made[key]
        if kind is list or kind is dict or kind is tuple:
            return _LATER
        made = self._made[key] = value if is_constant(value) else self._copy_single(kind, value)
        return made

    def _walk(self, value: Any) -> Walk:  # noqa: ANN401 - a container
        """Copy a container; its copy is noted before its parts are copied where it can change: one may refer to it."""
        kind = type(value)
        if kind is tuple:
            copies = yield from self._walk_parts(value)
            made = self._made[id(value)] = value if all(map(operator.is_, copies, value)) else tuple(copies)
            return made
        made = self._made[id(value)] = value.copy()
        if kind is list:
            if not ATOMS.issuperset(map(type, value)):
                made[:] = yield from self._walk_parts(list(made))
        elif not ATOMS.issuperset(map(type, made.values())):
            made.update(zip(list(made), (yield from self._walk_parts(list(made.values())))))
        return made

    def _walk_parts(self, parts: Any) -> Generator[Walk, Any, list[Any]]:  # noqa: ANN401 - parts of a container
        copies = []
        for part in parts:
            made = self._copy_at_once(part)
            copies.append((yield self._walk(part)) if made is _LATER else made)
        return copies

    def _copy_single(self, kind: type, value: Any) -> Any:  # noqa: ANN401
        if kind is bytearray or kind is array.array:
            return value[:]
        if kind is set and all(map(is_constant, value)):
            return value.copy()
        return copy(value) if kind is File else self._copy_other(value)


_LATER = object()
"""Stands for the copy of a container that is to be walked through."""


def _pickled_and_loaded(value: Any) -> Any:  # noqa: ANN401
    stream = io.BytesIO()
    buffers: list[bytearray] = []

    def copy_buffer(buffer: pickle.PickleBuffer) -> None:
        buffers.append(bytearray(buffer.raw()))

    # No method of the pickler's as its callback: collected as a cycle, memory views and buffers crash Python 3.11.
    pickler = _Pickler(stream, protocol=5, buffer_callback=copy_buffer)
    pickler.dump(value)
    stream.seek(0)
    return _Unpickler(stream, pickler.references, buffers).load()


def _reference(number: int) -> None:
    """Stands in a pickle for an object that is passed as it is; `_Unpickler` puts that in its place."""


class _Pickler(pickle.Pickler):
    """Pickles for this process: what is passed as it is stays in `references`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pickle's own signature
        super().__init__(*args, **kwargs)
        self.references: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - pickle's own signature
        if obj is _reference:
            return NotImplemented
        if is_constant(obj):
            self.references.append(obj)
            return _reference, (len(self.references) - 1,)
        if hasattr(type(obj), "__del__"):
            raise _InstanceError
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, references: list[Any], buffers: list[bytearray]) -> None:
        super().__init__(stream, buffers=buffers)
        self._references = references

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        if name == _reference.__name__ and module == __name__:
            return self._references.__getitem__
        return super().find_class(module, name)
