"""Values as bytes that are the same in every process and on every day: `id_for_memo`, which users extend.

Nothing here depends on addresses, hash seeds, the order of a dict or a set, or who made the value. Types count: ``1``,
``1.0`` and ``True`` are three values, and so are ``0.0`` and ``-0.0``, which a function can tell apart.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import hashlib
import os
import struct
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cnflow.dataflow.memo.errors import NoIdentityError
from cnflow.dataflow.memo.third_party_types import parts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# ruff: noqa: ARG001, FBT001, FBT002 - the reference's signature; few values care whether they are yet to be made

_HEAD = struct.Struct("<HQ")
_DOUBLE = struct.Struct("<d")
_SHORT = 64
"""Bytes up to which an id is kept as it is inside a greater one; of a longer one only its digest."""

# Values of just these types have nothing beyond what their id function sees.
_BUILTIN = frozenset({bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset})


@functools.singledispatch
def id_for_memo(obj: object, output_ref: bool = False) -> bytes:
    """Bytes that are equal for two values exactly when an app may return the result of one for the other.

    To make your own type part of a key, register a function of this signature for it. The type's name is added by
    the caller, so the bytes need only be unique within the type; call `encoded` for what the value holds::

        @id_for_memo.register
        def _(model: Model, output_ref: bool = False) -> bytes:
            return model.version.encode()

    Args:
        obj: the value.
        output_ref: it stands for something that the call will make (an element of ``outputs=``), so that its content
            is not known yet.

    Raises:
        NoIdentityError: the type, or that of something inside, is not known.
    """
    if dataclasses.is_dataclass(obj):
        fields = [field.name for field in dataclasses.fields(obj) if hasattr(obj, field.name)]
        return encoded({name: getattr(obj, name) for name in fields}, output_ref=output_ref)
    parts = parts_of(obj)
    if parts is not None:
        return encoded(parts)
    wrapped = getattr(obj, "__wrapped__", None)
    if callable(obj) and wrapped is not None:  # an app, or what functools.lru_cache and others make
        return encoded(wrapped)
    raise NoIdentityError(type_name(type(obj)))


def encoded(obj: object, *, output_ref: bool = False) -> bytes:
    """Type and id of *obj*, framed so that several can be joined without a doubt where one ends.

    Raises:
        NoIdentityError: as `id_for_memo`.
    """
    content = id_for_memo(obj, output_ref=True) if output_ref else id_for_memo(obj)
    name = type_name(type(obj)).encode()
    head = _HEAD.pack(len(name), len(content))
    return head + name + (content if len(content) <= _SHORT else digest(content))


def digest(content: bytes | memoryview) -> bytes:
    """A hash of *content*, 32 bytes."""
    return hashlib.blake2b(content, digest_size=32).digest()


def type_name(kind: type) -> str:
    """Name of a type, with its module."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _added(obj: object) -> bytes:
    """What a user's subclass of a builtin type holds beyond the builtin's value; its length comes last."""
    if type(obj) in _BUILTIN:
        return b""
    more = _held_beside(obj)
    return more + _HEAD.pack(0, len(more))


def _held_beside(obj: object) -> bytes:
    if isinstance(obj, enum.Enum):
        return str(obj.name).encode()
    if isinstance(obj, collections.defaultdict):
        return encoded(obj.default_factory)
    attributes = getattr(obj, "__dict__", None)
    return encoded(attributes) if attributes else b""


def _joined(items: Iterable[object], output_ref: bool) -> bytes:
    return b"".join([encoded(item, output_ref=output_ref) for item in items])


@id_for_memo.register(type(None))
@id_for_memo.register(type(Ellipsis))
@id_for_memo.register(type(NotImplemented))
def _of_single(obj: object, output_ref: bool = False) -> bytes:
    return b""


@id_for_memo.register(int)
def _of_int(obj: int, output_ref: bool = False) -> bytes:
    return int.to_bytes(obj, obj.bit_length() // 8 + 1, "little", signed=True) + _added(obj)


@id_for_memo.register(float)
def _of_float(obj: float, output_ref: bool = False) -> bytes:
    value = float(obj)
    return (_DOUBLE.pack(value) if value == value else b"nan") + _added(obj)  # noqa: PLR0124 - only a NaN differs


@id_for_memo.register(complex)
def _of_complex(obj: complex, output_ref: bool = False) -> bytes:
    return _joined((obj.real, obj.imag), output_ref) + _added(obj)


@id_for_memo.register(str)
def _of_str(obj: str, output_ref: bool = False) -> bytes:
    return str.encode(obj, "utf-8", "surrogatepass") + _added(obj)


@id_for_memo.register(bytes)
@id_for_memo.register(bytearray)
def _of_bytes(obj: bytes | bytearray, output_ref: bool = False) -> bytes:
    return bytes(obj) + _added(obj)


@id_for_memo.register(memoryview)
def _of_view(obj: memoryview, output_ref: bool = False) -> bytes:
    return digest(obj if obj.c_contiguous and obj.ndim == 1 else obj.tobytes())


@id_for_memo.register(list)
@id_for_memo.register(tuple)
def _of_sequence(obj: list[Any] | tuple[Any, ...], output_ref: bool = False) -> bytes:
    return _joined(obj, output_ref) + _added(obj)


@id_for_memo.register(collections.deque)
def _of_deque(obj: collections.deque[Any], output_ref: bool = False) -> bytes:
    return _joined([obj.maxlen, *obj], output_ref)


@id_for_memo.register(set)
@id_for_memo.register(frozenset)
def _of_set(obj: set[Any] | frozenset[Any], output_ref: bool = False) -> bytes:
    return b"".join(sorted(encoded(item, output_ref=output_ref) for item in obj)) + _added(obj)


@id_for_memo.register(dict)
def _of_dict(obj: dict[Any, Any], output_ref: bool = False) -> bytes:
    pairs = [encoded(key) + encoded(value, output_ref=output_ref) for key, value in obj.items()]
    if not isinstance(obj, collections.OrderedDict):
        pairs.sort()
    return b"".join(pairs) + _added(obj)


@id_for_memo.register(range)
@id_for_memo.register(slice)
def _of_range(obj: range | slice, output_ref: bool = False) -> bytes:
    return _joined((obj.start, obj.stop, obj.step), output_ref)


@id_for_memo.register(enum.Enum)
def _of_enum(obj: enum.Enum, output_ref: bool = False) -> bytes:
    return encoded(obj.name) + encoded(obj.value)


@id_for_memo.register(PurePath)
def _of_path(obj: PurePath, output_ref: bool = False) -> bytes:
    return os.fspath(obj).encode("utf-8", "surrogateescape")
