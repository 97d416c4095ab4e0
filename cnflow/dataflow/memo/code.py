"""Functions and classes as ids: by what they do, not by where or when they were defined.

A function's id covers its bytecode with all that is nested in it, its closure, its defaults, and of the globals that it
reads: other functions and classes of the user, the same way and once each, and constants. Left out are comments, line
numbers, annotations, and what the function reaches otherwise: attributes of a module, imports in its body, globals that
can change in place. Functions of installed packages and of the standard library count by their names.

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
from cnflow.dataflow.memo.values import digest, encoded, id_for_memo
from cnflow.errors import MemoKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}  # the last since 3.12
_CONSTANTS = (type(None), bool, int, float, complex, str, bytes)
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, functools.partial)
_MODULES_OF_0_1 = {
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
"""Functions and classes met in this walk, numbered: each is looked into once, so that a walk ends and stays short."""

# ruff: noqa: ARG001, FBT001, FBT002 - id_for_memo's signature


class _Code(NamedTuple):
    content: bytes
    reads: tuple[str, ...]
    """Globals that it reads and never sets, sorted; one that it sets is its memory and not its code."""


def id_of_function(function: FunctionType, ignore: Collection[str] = ()) -> bytes:
    """Id of *function* by its code, wherever it comes from, without the defaults of the parameters in *ignore*.

    Raises:
        NoIdentityError: a closure variable or a default has no identity; `where` names it.
    """
    return _once(function, lambda: _by_code(function, ignore))


@id_for_memo.register(FunctionType)
def _of_function(function: FunctionType, output_ref: bool = False) -> bytes:
    if not _is_installed(function.__module__, function.__code__.co_filename):
        return id_of_function(function)
    wrapped = getattr(function, "__wrapped__", None)  # a package's decorator around the user's function
    return encoded((_module_in_keys(function.__module__), function.__qualname__, wrapped))


@id_for_memo.register(CodeType)
def _of_code(code: CodeType, output_ref: bool = False) -> bytes:
    return _taken_apart(code).content


@id_for_memo.register(BuiltinFunctionType)
def _of_builtin(function: BuiltinFunctionType, output_ref: bool = False) -> bytes:
    return encoded((function.__qualname__, function.__self__))


@id_for_memo.register(MethodDescriptorType)
@id_for_memo.register(WrapperDescriptorType)
def _of_descriptor(function: MethodDescriptorType, output_ref: bool = False) -> bytes:
    return encoded((function.__qualname__, function.__objclass__))


@id_for_memo.register(MethodType)
def _of_method(method: MethodType, output_ref: bool = False) -> bytes:
    return encoded((method.__func__, method.__self__))


@id_for_memo.register(functools.partial)
def _of_partial(partial: functools.partial[Any], output_ref: bool = False) -> bytes:
    return encoded((partial.func, partial.args, partial.keywords))


@id_for_memo.register(ModuleType)
def _of_module(module: ModuleType, output_ref: bool = False) -> bytes:
    return module.__name__.encode()


@id_for_memo.register(type)
def _of_class(cls: type, output_ref: bool = False) -> bytes:
    name = (_module_in_keys(cls.__module__), cls.__qualname__)
    if _is_installed(cls.__module__, getattr(sys.modules.get(cls.__module__), "__file__", None)):
        return encoded(name)
    return _once(cls, lambda: encoded((*name, cls.__bases__, dict(_members(cls)))))


def _by_code(function: FunctionType, ignore: Collection[str]) -> bytes:
    code = _taken_apart(function.__code__)
    strict = {**_closure(function), **_defaults(function, ignore)}
    parts = [encoded((function.__module__, function.__qualname__)), code.content]
    for where, value in strict.items():
        try:
            parts.append(encoded(where) + encoded(value))
        except NoIdentityError as error:
            raise NoIdentityError(error.type_name, error.where or f"{where} of {function.__qualname__}") from error
    used = function.__globals__
    parts.extend(encoded(name) + _of_global(used[name]) for name in code.reads if name in used)
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
    """Id of what a function reads as a global; empty for what is no code and can change in place."""
    try:
        if isinstance(value, _CODE) or isinstance(getattr(value, "__wrapped__", None), FunctionType):
            return encoded(value)
        if _is_constant(value):
            return encoded(value)
    except MemoKeyError:  # the user named it in no call and can do nothing about it
        return encoded(getattr(value, "__qualname__", ""))
    return b""


def _is_constant(value: object) -> bool:
    if type(value) in {tuple, frozenset}:
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return type(value) in _CONSTANTS or isinstance(value, enum.Enum)


def _members(cls: type) -> Iterator[tuple[str, bytes]]:
    """What the body of a class says: functions and constants, by name."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            yield name, b"".join(_of_global(part) for part in (member.fget, member.fset, member.fdel))
        elif isinstance(member, (staticmethod, classmethod)):
            yield name, encoded(type(member).__name__) + _of_global(member.__func__)
        elif isinstance(member, FunctionType) or (_is_constant(member) and not _is_dunder(name)):
            yield name, _of_global(member)


def _is_dunder(name: str) -> bool:
    """Python's own: ``__file__``, ``__firstlineno__``: they tell where code is, not what it does."""
    return name.startswith("__") and name.endswith("__")


def _once(obj: object, identify: Callable[[], bytes]) -> bytes:
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


def _module_in_keys(module: str) -> str:
    return _MODULES_OF_0_1.get(module, module)


def _is_installed(module: str | None, filename: str | None) -> bool:
    top = (module or "").partition(".")[0]
    if top == "cnflow" or (top in sys.stdlib_module_names and top != "__main__"):
        return True
    return not {"site-packages", "dist-packages"}.isdisjoint(PurePath(filename or "").parts)


@functools.lru_cache(maxsize=4096)
def _taken_apart(code: CodeType) -> _Code:
    reads, sets = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in _READS:
            reads.add(str(instruction.argval))
        elif instruction.opname in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
            sets.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            reads.update(_taken_apart(constant).reads)
    parts = (
        (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_name),
        (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_consts),
        # co_code is without what the interpreter specialised while it ran; exceptions have a table since 3.11.
        (code.co_code, getattr(code, "co_exceptiontable", b"")),
    )
    names = sorted(name for name in reads - sets if not _is_dunder(name))
    return _Code(digest(encoded(parts)), tuple(names))
