"""Ids of functions and classes: by code, not by place or time of their definition.

The id of a function covers

    the user's function ──> bytecode, with that of nested functions
                        ──> closure variables and defaults: any value, or NoIdentityError
                        ──> globals that it reads: functions and classes, in the same way and once each; constants;
                            other values, unless it changes them itself, or their type has no id
                        ──> attributes of the user's own modules that it reads, and what its body imports of them

    a function or class that is installed ──> its module and name, and the user's function that it wraps

Left out are comments, line numbers, annotations, and code or data that the function reaches otherwise: `report` lists
what is seen and what is not.

Bytecode is the same for the same source within one minor version of Python, and so are keys. A part that an id did not
have in version 0.1 is added at the end, and only where there is something: other functions keep their keys.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from contextvars import ContextVar
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.memo import values
from cnflow.dataflow.memo.bytecode import Import, is_dunder, parse
from cnflow.dataflow.memo.depth import has_room, one_level_deeper, with_room
from cnflow.dataflow.memo.errors import NoIdentityError
from cnflow.dataflow.memo.modules import imported_modules, is_installed, is_own, read_attributes
from cnflow.dataflow.memo.report import note
from cnflow.dataflow.memo.values import digest, encode, id_for_memo
from cnflow.errors import MemoKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from cnflow.dataflow.memo.bytecode import Bytecode

_MADE_BY_PYTHON = {"_abc_impl", "_field_defaults"}
_FIELDS = (GetSetDescriptorType, MemberDescriptorType, type(Import.module))
"""Types of what a class has for each slot, or field of a named tuple."""

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
    "cnflow.staging.servers": "cnflow.staging.downloads",
}
"""Modules of public names that have moved since version 0.1. Keys hold the old name, so that a cached function which
uses such a name keeps its results."""

_COMPUTED = frozenset({"__import__", "eval", "exec", "getattr", "globals", "import_module", "vars"})
"""Names of functions by which code reaches what its bytecode does not show."""

_DISPATCHER: CodeType = functools.singledispatch(print).__code__  # type: ignore[attr-defined]
"""Code of every function that `functools.singledispatch` makes."""

_is_lenient: ContextVar[bool] = ContextVar("is_lenient", default=False)
"""True while globals are walked: a part without an id counts by its type."""

_seen: ContextVar[dict[int, tuple[int, object]] | None] = ContextVar("seen", default=None)
"""Functions, classes and instances of this walk, by id() and numbered: each is walked once, so that recursion ends."""

_codes_of_classes: ContextVar[dict[type, bytes] | None] = ContextVar("codes_of_classes", default=None)
"""Results of `code_of_class` within one `in_one_walk`: a list may hold thousands of instances of a class."""

# ruff: noqa: ARG001, FBT001, FBT002 - id_for_memo's signature


def id_of_function(function: FunctionType, ignore: Collection[str] = ()) -> bytes:
    """Id of *function* by its code, also of an installed one, without the defaults of the parameters in *ignore*.

    Raises:
        NoIdentityError: a closure variable or a default has no identity; its `where` names it.
    """
    return _once(function, lambda: _by_code(function, ignore))


def in_one_walk(make: Callable[[], bytes]) -> bytes:
    """Return ``make()``, which makes an id, with each class walked once.

    Raises:
        RecursionError: there are too many levels.
    """
    token = _codes_of_classes.set({})
    try:
        return with_room(make)
    finally:
        _codes_of_classes.reset(token)


def name_in_keys(obj: FunctionType | type) -> tuple[str, str]:
    """Return module and qualified name of *obj*, the module as it was named in version 0.1."""
    return _MODULES_OF_0_1.get(obj.__module__, obj.__module__), obj.__qualname__


@id_for_memo.register(FunctionType)
def _of_function(function: FunctionType, output_ref: bool = False) -> bytes:
    if function.__code__ is _DISPATCHER:
        return _of_dispatcher(function)
    if not is_installed(function.__module__, function.__code__.co_filename):
        return id_of_function(function)
    if not function.__module__.startswith("cnflow."):
        note("installed", f"{function.__module__}.{function.__qualname__}")
    wrapped = getattr(function, "__wrapped__", None)  # a package's decorator around the user's function
    return encode((*name_in_keys(function), wrapped))


@id_for_memo.register(CodeType)
def _of_code(code: CodeType, output_ref: bool = False) -> bytes:
    return parse(code).content


@id_for_memo.register(BuiltinFunctionType)
def _of_builtin(function: BuiltinFunctionType, output_ref: bool = False) -> bytes:
    module = str(function.__module__ or "builtins").partition(".")[0]
    if module not in sys.stdlib_module_names:
        note("compiled", f"{function.__module__}.{function.__qualname__}")
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


@id_for_memo.register(functools.partialmethod)
def _of_partial_method(method: functools.partialmethod[Any], output_ref: bool = False) -> bytes:
    return encode((method.func, method.args, method.keywords))


@id_for_memo.register(functools.cached_property)
def _of_cached_property(prop: functools.cached_property[Any], output_ref: bool = False) -> bytes:
    return encode(prop.func)


@id_for_memo.register(functools.singledispatchmethod)
def _of_dispatching_method(method: functools.singledispatchmethod[Any], output_ref: bool = False) -> bytes:
    return encode(method.dispatcher)


@id_for_memo.register(ModuleType)
def _of_module(module: ModuleType, output_ref: bool = False) -> bytes:
    return module.__name__.encode()


@id_for_memo.register(type)
def _of_class(cls: type, output_ref: bool = False) -> bytes:
    name = name_in_keys(cls)
    if is_installed(cls.__module__, getattr(sys.modules.get(cls.__module__), "__file__", None)):
        return encode(name)
    note("class", f"{cls.__module__}.{cls.__qualname__}")
    return _once(cls, lambda: encode((*name, cls.__bases__, dict(_members(cls)))))


def _of_dispatcher(dispatcher: Any) -> bytes:  # noqa: ANN401 - a function with attributes
    """Id of a function under `functools.singledispatch`: its implementations by type."""
    implementations = {values.type_name(kind): function for kind, function in dispatcher.registry.items()}
    return encode((*name_in_keys(dispatcher), implementations))


def _by_code(function: FunctionType, ignore: Collection[str]) -> bytes:
    note("function", f"{function.__module__}.{function.__qualname__}")
    code = parse(function.__code__)
    for name in sorted(_COMPUTED & {*code.globals, *code.attributes}):
        note("computed", f"{name} in {function.__qualname__}")
    closure = _closure(function)
    parts = [encode((function.__module__, function.__qualname__)), code.content]
    for where, value in {**closure, **_defaults(function, ignore)}.items():
        try:
            parts.append(encode(where) + encode(value))
        except NoIdentityError as error:
            if not _is_lenient.get():
                raise NoIdentityError(error.type_name, error.where or f"{where} of {function.__qualname__}") from error
            note("unseen", f"{where} of {function.__qualname__}, of type {error.type_name}")
            parts.append(encode(where) + encode(error.type_name))
    parts.extend(
        encode(name) + _of_global(value, f"{function.__qualname__}.{name}")
        for name, value in sorted(vars(function).items())
        if name != "__wrapped__"  # is in the closure, where it is called
    )
    variables = function.__globals__
    parts.extend(
        encode(name) + _of_global(variables[name], name, is_memory=name in code.memory)
        for name in code.globals
        if name in variables
    )
    modules = [*closure.values(), *(variables.get(name) for name in code.globals)]
    parts += _of_modules([value for value in modules if isinstance(value, ModuleType)], code, variables)
    return digest(b"".join(parts))


def _of_modules(used: Iterable[ModuleType], code: Bytecode, variables: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield the ids of what a function reads of the user's own modules."""
    for module in (*used, *imported_modules(code.imports, variables)):
        if isinstance(module, bytes):
            yield module
            continue
        names = code.attributes.union(*(each.names for each in code.imports))
        read = b"".join(read_attributes(module, names, _of_global))
        if not is_own(module) and module.__name__.partition(".")[0] not in sys.stdlib_module_names:
            note("installed", module.__name__)
        if read:
            note("module", module.__name__)
            yield encode(module.__name__) + read


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


def _of_global(value: object, name: str = "", *, is_memory: bool = False) -> bytes:
    """Id of a global that a function reads; empty for a value that the function changes, or whose type has no id.

    Such a value is no argument of the user's: an error would be of no help.
    """
    token = _is_lenient.set(True)
    try:
        if isinstance(value, _CODE) or isinstance(getattr(value, "__wrapped__", None), FunctionType):
            return encode(value)
        if _is_constant(value):
            note("constant", name)
            return encode(value)
        if is_memory:
            note("memory", name)
            return b""
        content = encode(value)
    except (MemoKeyError, RecursionError) as error:
        if isinstance(error, RecursionError) and not has_room():
            raise
        note("unseen", f"{name or 'a part'}, of type {values.type_name(type(value))}")
        return encode(getattr(value, "__qualname__", "")) if isinstance(value, _CODE) else b""
    else:
        note("value", name)
        return content
    finally:
        _is_lenient.reset(token)


def of_own_instance(value: object) -> bytes | None:
    """Return the id of an instance of a class of the user's by the state that is pickled of it, and its class.

    None for other values, and outside of globals, where the user is asked to register a function for the class.
    """
    kind = type(value)
    if not _is_lenient.get() or is_installed(
        kind.__module__, getattr(sys.modules.get(kind.__module__), "__file__", None)
    ):
        return None
    return _once(value, lambda: _of_instance(value))


def _of_instance(value: object) -> bytes:
    name = values.type_name(type(value))
    try:
        _, args, state, *items = (*value.__reduce_ex__(4), None)[:5]
    except RecursionError:
        raise
    except Exception as error:
        raise NoIdentityError(name) from error
    if any(part is not None for part in items):
        raise NoIdentityError(name)
    return encode((args[1:], state)) + code_of_class(type(value))


def _is_constant(value: object) -> bool:
    if type(value) in {tuple, frozenset}:
        return all(map(_is_constant, value))  # type: ignore[call-overload]
    return type(value) in _CONSTANTS or isinstance(value, enum.Enum)


def _members(cls: type) -> Iterator[tuple[str, bytes]]:
    """Yield what the body of *cls* has defined, by name."""
    for name, member in vars(cls).items():
        if isinstance(member, property):
            yield name, b"".join(_of_global(part) for part in (member.fget, member.fset, member.fdel))
        elif isinstance(member, (staticmethod, classmethod)):
            yield name, encode(type(member).__name__) + _of_global(member.__func__)
        elif isinstance(member, FunctionType) or (_is_constant(member) and not is_dunder(name)):
            yield name, _of_global(member, f"{cls.__qualname__}.{name}")
        elif not (is_dunder(name) or name in _MADE_BY_PYTHON or isinstance(member, _FIELDS) or _is_of_enum(cls, name)):
            content = _of_global(member, f"{cls.__qualname__}.{name}")
            if content:
                yield name, content


def _is_of_enum(cls: type, name: str) -> bool:
    """Return True for an attribute that `enum` has added to a class."""
    return issubclass(cls, enum.Enum) and name.startswith("_")


def code_of_class(cls: type) -> bytes:
    """Return the id of *cls* if it is one of the user's with methods of its own; empty for all others.

    It does not depend on the walk in which it is asked for.
    """
    made = _codes_of_classes.get()
    if made is None:
        return in_one_walk(lambda: code_of_class(cls))
    if cls not in made:
        made[cls] = b""  # for an instance among the attributes of its own class
        made[cls] = _code_of_class(cls)
    return made[cls]


def _code_of_class(cls: type) -> bytes:
    if is_installed(cls.__module__, getattr(sys.modules.get(cls.__module__), "__file__", None)):
        return b""
    if not any(_has_methods(base) for base in cls.__mro__):
        return b""
    seen = _seen.set(None)
    token = _is_lenient.set(True)
    try:
        return _of_class(cls)
    finally:
        _is_lenient.reset(token)
        _seen.reset(seen)


def _has_methods(cls: type) -> bool:
    for name, member in vars(cls).items():
        function = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if not isinstance(function, FunctionType):
            continue
        file = function.__code__.co_filename
        is_made = (file == "<string>" and is_dunder(name)) or file == dataclasses.__file__
        if not is_made and not is_installed(None, file):
            return True
    return False


def _once(obj: object, identify: Callable[[], bytes]) -> bytes:
    """Return ``identify()`` the first time that a walk meets *obj*, and afterwards its number in the walk."""
    seen = _seen.get()
    if seen is not None:
        if id(obj) in seen:
            return b"seen %d" % seen[id(obj)][0]
        seen[id(obj)] = len(seen), obj  # kept: no other object gets that address
        return one_level_deeper(identify)
    token = _seen.set({id(obj): (0, obj)})
    try:
        return identify()
    finally:
        _seen.reset(token)
