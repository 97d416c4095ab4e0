"""Ids of functions and classes: by code, not by place or time of their definition.

The id of a function covers

    the user's function ──> bytecode, with that of nested functions
                        ──> closure variables and defaults: any value, or NoIdentityError
                        ──> globals that it reads: functions and classes, in the same way and once each; constants

    a function or class that is installed ──> its module and name, and the user's function that it wraps

Left out are comments, line numbers, annotations, and code or data that the function reaches otherwise: attributes of a
module, imports in its body, globals that can change in place.

Bytecode is the same for the same source within one minor version of Python, and so are keys.
"""

from __future__ import annotations

import dis
import enum
import functools
import sys
from contextvars import ContextVar
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.dataflow.memo.errors import NoIdentityError
from cnflow.dataflow.memo.values import digest, encode, id_for_memo
from cnflow.errors import MemoKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}  # the last since 3.12
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, functools.partial)
_MODULES_OF_0_1 = {
    "cnflow.apps.decorators": "cnflow.apps.app",
    "cnflow.compat.parsl.utils": "cnflow.utils",
    "cnflow.config.logging": "cnflow.config.logs",
    "cnflow.dataflow.futures.app_future": "cnflow.dataflow.futures",
    "cnflow.dataflow.futures.data_future": "cnflow.dataflow.data_futures",
    "cnflow.dataflow.memo.checkpoint_paths": "cnflow.checkpoints",
    "cnflow.staging.file": "cnflow.staging.files",
}
"""Modules of public names that have moved since version 0.1. Keys hold the old name, so that a cached function which
uses such a name keeps its results."""

_seen: ContextVar[dict[int, int] | None] = ContextVar("seen", default=None)
"""Functions and classes of this walk, by id() and numbered: each is walked once, so that recursion ends."""

# ruff: noqa: ARG001, FBT001, FBT002 - id_for_memo's signature


class _Code(NamedTuple):
    content: bytes
    reads: tuple[str, ...]
    """Globals that the code reads and never sets, sorted; a global that it sets is its memory, not part of it."""


def id_of_function(function: FunctionType, ignore: Collection[str] = ()) -> bytes:
    """Id of *function* by its code, also of an installed one, without the defaults of the parameters in *ignore*.

    Raises:
        NoIdentityError: a closure variable or a default has no identity; its `where` names it.
    """
    return _once(function, lambda: _by_code(function, ignore))


def name_in_keys(obj: FunctionType | type) -> tuple[str, str]:
    """Return module and qualified name of *obj*, the module as it was named in version 0.1."""
    return _MODULES_OF_0_1.get(obj.__module__, obj.__module__), obj.__qualname__


@id_for_memo.register(FunctionType)
def _of_function(function: FunctionType, output_ref: bool = False) -> bytes:
    if not _is_installed(function.__module__, function.__code__.co_filename):
        return id_of_function(function)
    wrapped = getattr(function, "__wrapped__", None)  # a package's decorator around the user's function
    return encode((*name_in_keys(function), wrapped))


@id_for_memo.register(CodeType)
def _of_code(code: CodeType, output_ref: bool = False) -> bytes:
    return _parse(code).content


@id_for_memo.register(BuiltinFunctionType)
def _of_builtin(function: BuiltinFunctionType, output_ref: bool = False) -> bytes:
    return encode((function.__qualname__, function.__self__))


@id_for_memo.register(MethodDescriptorType)
@id_for_memo.register(WrapperDescriptorType)
def _of_descriptor(function: MethodDescriptorType, output_ref: bool = False) -> bytes:
    return encode((function.__qualname__, function.__objclass__))


@id_for_memo.register(MethodType)
def _of_method(method: MethodType, output_ref: bool = False) -> bytes:
    return encode((method.__func__, method.__self__))


@id_for_memo.register(functools.partial)
def _of_partial(partial: functools.partial[Any], output_ref: bool = False) -> bytes:
    return encode((partial.func, partial.args, partial.keywords))


@id_for_memo.register(ModuleType)
def _of_module(module: ModuleType, output_ref: bool = False) -> bytes:
    return module.__name__.encode()


@id_for_memo.register(type)
def _of_class(cls: type, output_ref: bool = False) -> bytes:
    name = name_in_keys(cls)
    if _is_installed(cls.__module__, getattr(sys.modules.get(cls.__module__), "__file__", None)):
        return encode(name)
    return _once(cls, lambda: encode((*name, cls.__bases__, dict(_members(cls)))))


def _by_code(function: FunctionType, ignore: Collection[str]) -> bytes:
    code = _parse(function.__code__)
    strict = {**_closure(function), **_defaults(function, ignore)}
    parts = [encode((function.__module__, function.__qualname__)), code.content]
    for where, value in strict.items():
        try:
            parts.append(encode(where) + encode(value))
        except NoIdentityError as error:
            raise NoIdentityError(error.type_name, error.where or f"{where} of {function.__qualname__}") from error
    global_values = function.__globals__
    parts.extend(encode(name) + _of_global(global_values[name]) for name in code.reads if name in global_values)
    return digest(b"".join(parts))


def _closure(function: FunctionType) -> Mapping[str, object]:
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            values[f"closure variable {name!r}"] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return values


def _defaults(function: FunctionType, ignore: Collection[str]) -> Mapping[str, object]:
    code, defaults = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    by_name = {
        **dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)),
        **(function.__kwdefaults__ or {}),
    }
    return {f"default of {name!r}": value for name, value in by_name.items() if name not in ignore}


def _of_global(value: object) -> bytes:
    """Id of a global that a function reads; empty for values that are no code and can change in place."""
    try:
        if isinstance(value, _CODE) or isinstance(getattr(value, "__wrapped__", None), FunctionType):
            return encode(value)
        if _is_constant(value):
            return encode(value)
    except MemoKeyError:  # no argument of the user's: an error would be of no help
        return encode(getattr(value, "__qualname__", ""))
    return b""


def _is_constant(value: object) -> bool:
    if type(value) in {tuple, frozenset}:
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return type(value) in _CONSTANTS or isinstance(value, enum.Enum)


def _members(cls: type) -> Iterator[tuple[str, bytes]]:
    """Yield the functions and constants in the body of *cls*, by name."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            yield name, b"".join(_of_global(part) for part in (member.fget, member.fset, member.fdel))
        elif isinstance(member, (staticmethod, classmethod)):
            yield name, encode(type(member).__name__) + _of_global(member.__func__)
        elif isinstance(member, FunctionType) or (_is_constant(member) and not _is_dunder(name)):
            yield name, _of_global(member)


def _is_dunder(name: str) -> bool:
    """Return whether Python defines the name: ``__file__`` and ``__firstlineno__`` depend on the place of the code."""
    return name.startswith("__") and name.endswith("__")


def _once(obj: object, identify: Callable[[], bytes]) -> bytes:
    """Return ``identify()`` the first time that a walk meets *obj*, and afterwards its number in the walk."""
    seen = _seen.get()
    if seen is not None:
        if id(obj) in seen:
            return b"seen %d" % seen[id(obj)]
        seen[id(obj)] = len(seen)
        return identify()
    token = _seen.set({id(obj): 0})
    try:
        return identify()
    finally:
        _seen.reset(token)


def _is_installed(module: str | None, filename: str | None) -> bool:
    top = (module or "").partition(".")[0]
    if top == "cnflow" or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(PurePath(filename or "").parts)


@functools.lru_cache(maxsize=4096)
def _parse(code: CodeType) -> _Code:
    reads, sets = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in _READS:
            reads.add(str(instruction.argval))
        elif instruction.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
            sets.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            reads.update(_parse(constant).reads)
    parts = (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_name),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts),
        # co_code is free of the interpreter's specialisations at run time; exceptions have a table since 3.11.
        (code.co_code, getattr(code, "co_exceptiontable", b"")),
    )
    names = sorted(name for name in reads - sets if not _is_dunder(name))
    return _Code(digest(encode(parts)), tuple(names))
