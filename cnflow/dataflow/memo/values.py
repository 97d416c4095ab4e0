"""Ids of values: bytes that are the same in every process and on every day. `id_for_memo` is extended by users.

    value ──> encode ──> type's name + id_for_memo(value), framed; digested if long
                │              │ by the value's type: functions below, in `code` and `files`, or registered by the user
                │              │ else: fields of a dataclass; parts_of, in third_party_types; __wrapped__ of a callable
                │              v else: NoIdentityError
                └── elements of containers

No id depends on addresses, hash seeds, the order of a dict or a set, or the process that made the value. Types count:
``1``, ``1.0`` and ``True`` are three values, and so are ``0.0`` and ``-0.0``, which a function can distinguish.

A change of any id here drops the results of all checkpoints: raise the number in `keys` with it.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import hashlib
import os
import struct
from contextvars import ContextVar
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.memo.depth import one_level_deeper
from cnflow.dataflow.memo.errors import NoIdentityError
from cnflow.dataflow.memo.third_party_types import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# ruff: noqa: ARG001, FBT001, FBT002 - Parsl's signature; output_ref matters to few types

_HEAD = struct.Struct("<HQ")
_DOUBLE = struct.Struct("<d")
_SHORT = 64
"""Longest id, in bytes, that is part of a greater one as it is; of a longer one, the digest is."""

_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_DEEP = 3
"""Level from which on ids of containers are kept within a walk: ``x = [x, x]``, sixty times over, holds 2**60 lists."""

# Values of exactly these types hold nothing that their id function does not see.
_BUILTIN = frozenset({bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset})


@functools.singledispatch
def id_for_memo(obj: object, output_ref: bool = False) -> bytes:
    """Id of *obj*: bytes that are equal for two values exactly when an app may return the result of one for the other.

    To make your own type part of a key, register a function of this signature for it. The caller adds the type's name,
    so the bytes need only be unique within the type; call `encode` for values that the object holds::

        @id_for_memo.register
        def _(model: Model, output_ref: bool = False) -> bytes:
            return model.version.encode()

    Args:
        obj: the value.
        output_ref: the value stands for something that the call will make (an element of ``outputs=``), so that its
            content is not known yet.

    Raises:
        NoIdentityError: the type, or that of a value inside, is unknown.
    """
    if dataclasses.is_dataclass(obj):
        fields = [field.name for field in dataclasses.fields(obj) if hasattr(obj, field.name)]
        from cnflow.dataflow.memo.code import code_of_class  # noqa: PLC0415 - it imports this module

        return encode({name: getattr(obj, name) for name in fields}, output_ref=output_ref) + code_of_class(type(obj))
    parts = parts_of(obj)
    if parts is not None:
        return encode(parts)
    wrapped = getattr(obj, "__wrapped__", None)
    if callable(obj) and wrapped is not None:  # an app, or the result of functools.lru_cache and the like
        return encode(wrapped)
    from cnflow.dataflow.memo.code import of_own_instance  # noqa: PLC0415 - it imports this module

    content = of_own_instance(obj)
    if content is None:
        raise NoIdentityError(type_name(type(obj)))
    return content


def encode(obj: object, *, output_ref: bool = False) -> bytes:
    """Encode type and id of *obj*, with their lengths, so that several can be joined and stay distinct.

    Raises:
        NoIdentityError: as `id_for_memo`.
    """
    if type(obj) in _CONTAINERS:
        return _encode_container(obj, output_ref)
    return _frame(obj, id_for_memo(obj, output_ref=True) if output_ref else id_for_memo(obj))


def _frame(obj: object, content: bytes) -> bytes:
    name = type_name(type(obj)).encode()
    head = _HEAD.pack(len(name), len(content))
    return head + name + (content if len(content) <= _SHORT else digest(content))


class _Walk:
    """One walk through containers: ids of those that lie deep, which may be met again and again."""

    def __init__(self) -> None:
        self.depth = 0
        self.count = 0
        self.open: dict[int, int] = {}
        """Numbers of the containers whose ids are being made, by address: what holds itself refers to its number."""

        self.made: dict[tuple[int, bool], tuple[object, bytes]] = {}
        """By the address of a container, which is kept with its id: no other gets that address."""


_walk: ContextVar[_Walk | None] = ContextVar("_walk", default=None)


def _encode_container(obj: object, output_ref: bool) -> bytes:
    walk = _walk.get()
    if walk is not None:
        return _encode_inside(walk, obj, output_ref)
    walk = _Walk()
    token = _walk.set(walk)
    try:
        return _encode_inside(walk, obj, output_ref)
    finally:
        _walk.reset(token)


def _encode_inside(walk: _Walk, obj: object, output_ref: bool) -> bytes:
    place = id(obj), output_ref
    if place in walk.made:
        return walk.made[place][1]
    if id(obj) in walk.open:
        return _HEAD.pack(0, walk.open[id(obj)])  # no type has an empty name
    walk.depth += 1
    walk.count += 1
    walk.open[id(obj)] = walk.count
    try:
        if walk.depth <= _DEEP:
            made = _frame(obj, id_for_memo(obj, output_ref))
        else:
            made = one_level_deeper(lambda: _frame(obj, id_for_memo(obj, output_ref)))
    finally:
        walk.depth -= 1
        del walk.open[id(obj)]
    if walk.depth >= _DEEP:
        walk.made[place] = obj, made
    return made


encoded = encode  # its name in version 0.1, by which functions that users registered may call it


def digest(content: bytes | memoryview) -> bytes:
    """Hash of *content*, 32 bytes."""
    return hashlib.blake2b(content, digest_size=32).digest()


def type_name(kind: type) -> str:
    """Name of *kind*, with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _extra_state(obj: object) -> bytes:
    """State of an instance of a user's subclass of a builtin type beyond the builtin's value; its length comes last."""
    if type(obj) in _BUILTIN:
        return b""
    more = _state_beside_value(obj)
    return more + _HEAD.pack(0, len(more))


def _state_beside_value(obj: object) -> bytes:
    if isinstance(obj, enum.Enum):
        return str(obj.name).encode()
    if isinstance(obj, collections.defaultdict):
        return encode(obj.default_factory)
    attributes = getattr(obj, "__dict__", None)
    return encode(attributes) if attributes else b""


def _join(items: Iterable[object], output_ref: bool) -> bytes:
    return b"".join([encode(item, output_ref=output_ref) for item in items])


@id_for_memo.register(type(None))
@id_for_memo.register(type(Ellipsis))
@id_for_memo.register(type(NotImplemented))
def _of_single(obj: object, output_ref: bool = False) -> bytes:
    return b""


@id_for_memo.register(int)
def _of_int(obj: int, output_ref: bool = False) -> bytes:
    return int.to_bytes(obj, obj.bit_length() // 8 + 1, "little", signed=True) + _extra_state(obj)


@id_for_memo.register(float)
def _of_float(obj: float, output_ref: bool = False) -> bytes:
    value = float(obj)
    return (_DOUBLE.pack(value) if value == value else b"nan") + _extra_state(obj)  # noqa: PLR0124 - only a NaN differs


@id_for_memo.register(complex)
def _of_complex(obj: complex, output_ref: bool = False) -> bytes:
    return _join((obj.real, obj.imag), output_ref) + _extra_state(obj)


@id_for_memo.register(str)
def _of_str(obj: str, output_ref: bool = False) -> bytes:
    return str.encode(obj, "utf-8", "surrogatepass") + _extra_state(obj)


@id_for_memo.register(bytes)
@id_for_memo.register(bytearray)
def _of_bytes(obj: bytes | bytearray, output_ref: bool = False) -> bytes:
    return bytes(obj) + _extra_state(obj)


@id_for_memo.register(memoryview)
def _of_view(obj: memoryview, output_ref: bool = False) -> bytes:
    content = digest(obj if obj.c_contiguous and obj.ndim == 1 else obj.tobytes())
    return content if obj.format == "B" and obj.ndim == 1 else content + encode((obj.format, obj.shape))


@id_for_memo.register(list)
@id_for_memo.register(tuple)
def _of_sequence(obj: list[Any] | tuple[Any, ...], output_ref: bool = False) -> bytes:
    return _join(obj, output_ref) + _extra_state(obj)


@id_for_memo.register(collections.deque)
def _of_deque(obj: collections.deque[Any], output_ref: bool = False) -> bytes:
    return _join([obj.maxlen, *obj], output_ref)


@id_for_memo.register(set)
@id_for_memo.register(frozenset)
def _of_set(obj: set[Any] | frozenset[Any], output_ref: bool = False) -> bytes:
    return b"".join(sorted(encode(item, output_ref=output_ref) for item in obj)) + _extra_state(obj)


@id_for_memo.register(dict)
def _of_dict(obj: dict[Any, Any], output_ref: bool = False) -> bytes:
    pairs = [encode(key) + encode(value, output_ref=output_ref) for key, value in obj.items()]
    if not isinstance(obj, collections.OrderedDict):
        pairs.sort()
    return b"".join(pairs) + _extra_state(obj)


@id_for_memo.register(range)
@id_for_memo.register(slice)
def _of_range(obj: range | slice, output_ref: bool = False) -> bytes:
    return _join((obj.start, obj.stop, obj.step), output_ref)


@id_for_memo.register(enum.Enum)
def _of_enum(obj: enum.Enum, output_ref: bool = False) -> bytes:
    return encode(obj.name) + encode(obj.value)


@id_for_memo.register(PurePath)
def _of_path(obj: PurePath, output_ref: bool = False) -> bytes:
    return os.fspath(obj).encode("utf-8", "surrogateescape")
