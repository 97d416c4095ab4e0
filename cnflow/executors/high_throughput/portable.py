"""Makes tasks that workers of another minor version of Python can run, from tasks that they have refused.

::

    pickle with bytecode ──load_with_ids──> copies of functions, classes, arguments as they were at the call
                                                    │ pickled again, with code as source: `wire.portable_pickler`
                                                    v
                            the same task for any Python; or an error that names what cannot cross

Nothing is done for an executor whose workers have the driver's Python: what they load is bytecode, and fastest.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cnflow.errors import SerializationError
from cnflow.executors.high_throughput import sources
from cnflow.executors.high_throughput.own_modules.module import record_with
from cnflow.executors.high_throughput.own_modules.registry import records_of, registry, with_records
from cnflow.executors.high_throughput.own_modules.rules import Rules
from cnflow.ids import FunctionId
from cnflow.model import pickle_hooks
from cnflow.tasks.own_modules import code_at
from cnflow.text import describe_error, is_ctrl_c
from cnflow.wire import serialization
from cnflow.wire.apart import load_with_ids
from cnflow.wire.function_messages import Function
from cnflow.wire.unloadable import parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    from cnflow.wire.pipe import Part
    from cnflow.wire.serialization import Payload

_MOST_FUNCTIONS = 1_000
"""Functions that are kept in both forms; the oldest are made again when they are needed again."""

_DEPTH = 6

_functions: OrderedDict[FunctionId, Function | str] = OrderedDict()
"""Portable form of functions, or why they have none. Of this process: executors share functions."""


class NotPortableError(SerializationError):
    """A function, or a value, that only workers of the driver's own minor version of Python can be sent."""


def portable_function(function: Function) -> Function:
    """Return *function* without bytecode, under an id of its own.

    Raises:
        NotPortableError: says what has no source, or cannot be made in another Python.
    """
    if not function.python:
        return function
    found = _functions.get(function.id)
    if found is None:
        try:
            found = _convert_function(function)
        except NotPortableError as error:
            found = str(error)
        _functions[function.id] = found
        if len(_functions) > _MOST_FUNCTIONS:
            _functions.popitem(last=False)
    if isinstance(found, str):
        raise NotPortableError(found)
    return found


def portable_if_possible(function: Function, payload: Payload) -> tuple[Function, Payload]:
    """Return both without bytecode; as they are if that is not possible, for a worker of the driver's Python."""
    try:
        return portable_function(function), portable_arguments(payload)
    except NotPortableError:
        return function, payload


def portable_arguments(payload: Payload) -> Payload:
    """Return pickled arguments without bytecode.

    Raises:
        NotPortableError: names the value, such as ``args[0]['model'].score``.
    """
    if not payload.python:
        return payload
    try:
        value, ids = _loaded(payload.body, payload.buffers)
    except BaseException as error:  # a user's type may fail in any way
        if is_ctrl_c(error):
            raise
        raise NotPortableError(f"its arguments cannot be loaded in the driver: {_words(error)}.") from error
    try:
        return _dumped(value, ids)
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        args, kwargs = value[:2]
        named = [*((f"args[{n}]", part) for n, part in enumerate(args)), *kwargs.items()]
        place = next((name + found for name, part in named if (found := _place_in(part, ids)) is not None), "")
        raise NotPortableError(f"the argument {place}: {_words(error)}" if place else _words(error)) from error


def _convert_function(function: Function) -> Function:
    try:
        loaded, ids = _loaded(function.body, ())
        body = _dumped(pickle_hooks.picklable(loaded), ids, in_band=True).body
        records = tuple(record_with(record, _converted) for record in records_of(function))
    except BaseException as error:
        if is_ctrl_c(error):
            raise
        raise NotPortableError(_words(error)) from error
    modules = tuple(record.id for record in records)
    content = b"".join((b"portable ", function.id, *modules, body))
    identity = FunctionId(hashlib.blake2b(content, digest_size=16).digest())
    return with_records(Function(identity, function.name, function.kind, "", body, modules, function.batching), records)


def _converted(pickled: bytes) -> bytes:
    """Convert the pickled value of a global of a module."""
    value, ids = _loaded(pickled, ())
    return _dumped(value, ids, in_band=True).body


def _loaded(body: Part, buffers: Sequence[Part]) -> tuple[Any, dict[type, str]]:
    return load_with_ids(body, buffers, {code_at: _code_of_own_module})


def _code_of_own_module(module: str, name: str, line: int) -> CodeType:
    """Return what `code_at` gives in a worker: code of a module of the user's own, which the driver has."""
    own = registry.find(module)
    version = None if own is None else own.version()
    for code in () if version is None else version.codes:
        if (code.co_name, code.co_firstlineno) == (name, line):
            return code
    raise NotPortableError(f"the module {module} was changed since the call")


def _dumped(value: object, ids: dict[type, str], *, in_band: bool = False) -> Payload:
    def class_id(cls: type, made: str, _: object) -> str:
        return ids.get(cls, made)

    return serialization.dump_anything(value, class_id, Rules(), sources, in_band=in_band)


def _place_in(value: Any, ids: dict[type, str], depth: int = _DEPTH) -> str | None:  # noqa: ANN401 - a user's value
    """Return what leads to the innermost part of *value* that is not portable; None if all of it is."""
    try:
        _dumped(value, ids)
    except Exception:  # noqa: BLE001 - a user's type may fail in any way
        for name, part in parts_of(value) if depth else ():
            place = _place_in(part, ids, depth - 1)
            if place is not None:
                return name + place
        return ""
    return None


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, SerializationError) else describe_error(error)
