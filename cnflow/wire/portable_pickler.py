"""Pickles functions and classes so that another minor version of Python can load them: as source, not as bytecode.

::

    function of the script ──> its code as source, its globals, cells, defaults: `source_code.function_of`
    function whose code is of an installed package, such as what `contextmanager` makes
                           ──> its place there, which the other Python looks up in its own
    class of the script    ──> cloudpickle's maker, then `source_classes.define`: methods from source; dataclasses,
                               enumerations and named tuples are made by the machinery of the other Python
    code without a source  ──> an error in words; in a worker bytecode, which the driver refuses
    class of the driver, in a worker's result ──> its id alone

A `CodePicklerMixin` decides first what is pickled by name, and gives classes their ids.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import sys
import types
import typing
from types import CodeType, FunctionType
from typing import Any, Callable, NamedTuple, Optional, Protocol

from cnflow.errors import SerializationError
from cnflow.model import pickle_hooks, source_classes, source_code
from cnflow.wire.code_pickler import CLASS_MAKERS, DISPATCHER, CodePicklerMixin


class Sources(Protocol):
    """Finds the source of code, in the driver."""

    def piece_of(self, code: CodeType) -> source_code.Piece:
        """Return the source of *code*, or raise an error that says what to do."""

    def is_library(self, file: str) -> bool:
        """Return whether *file* is of an installed package."""


_WRITTEN_BY_PYTHON = frozenset(
    {
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__classdictcell__",
        "__conditional_annotations__",
        "__dataclass_fields__",
        "__dataclass_params__",
        "__firstlineno__",
        "__non_callable_proto_members__",
        "__protocol_attrs__",
        "__static_attributes__",
    }
)
"""Attributes of a class that the other Python writes in its own form."""

_OF_DATACLASSES = frozenset(
    {
        "__delattr__", "__eq__", "__ge__", "__gt__", "__hash__", "__init__", "__le__", "__lt__", "__replace__",
        "__repr__", "__setattr__",
    }
)  # fmt: skip
"""Methods that `dataclasses.dataclass` writes, unless the user has."""

_OF_NAMED_TUPLES = frozenset(
    {
        "__getnewargs__", "__match_args__", "__new__", "__orig_bases__", "__replace__", "__repr__", "__slots__",
        "_asdict", "_field_defaults", "_fields", "_fields_defaults", "_make", "_replace",
    }
)  # fmt: skip
"""Attributes that `collections.namedtuple` and `typing.NamedTuple` write, unless the user has."""


class PortablePicklerMixin(CodePicklerMixin):
    """Comes before cloudpickle's pickler among the bases of a class; the module has a picture.

    Attributes:
        sources: of code; None in a worker, which knows the code that the driver has sent it.
        class_by_id: function that returns a class of the driver from its id.
    """

    sources: Optional[Sources] = None
    class_by_id: Callable[[str, str], type]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - cloudpickle's own signature
        super().__init__(*args, **kwargs)
        self._parts: dict[source_code.Piece, tuple[Any, ...]] = {}
        """One tuple for each piece: pickled once, then by reference."""

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return how *obj* is pickled."""
        rule = _RULES.get(type(obj))
        if rule is not None:
            return rule(obj)
        if type(obj) is CodeType and (place := self._place_of(obj)) is not None:
            return place.__reduce__()
        if self.sources is None and isinstance(obj, type) and obj in source_classes.class_ids:
            return self.class_by_id, (source_classes.class_ids[obj], obj.__qualname__)
        return self._in_portable_form(obj, super().reducer_override(obj))

    def _in_portable_form(self, obj: Any, reduced: Any) -> Any:  # noqa: ANN401 - as above
        if type(reduced) is not tuple:
            return reduced
        if type(obj) is FunctionType and obj.__code__ is not DISPATCHER and reduced[1][0] is obj.__code__:
            return self._reduce_function(obj, reduced)
        if isinstance(obj, type) and getattr(reduced[0], "__name__", "") in CLASS_MAKERS:
            return self._reduce_class(obj, reduced)
        return reduced

    def _place_of(self, code: CodeType) -> Optional[_CodeInSource]:
        piece = source_code.pieces.get(code) if self.sources is None else self.sources.piece_of(code)
        if piece is None:
            return None
        return _CodeInSource(self._parts.setdefault(piece, tuple(piece)), code.co_name, code.co_firstlineno)

    def _reduce_function(self, function: FunctionType, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        (code, names, *_), (attributes, slots) = reduced[1:3]
        variables, modules = slots.pop("__globals__"), slots.pop("_cloudpickle_submodules")
        slots.pop("__closure__")
        place: Any = self._place_in_library(function)
        if place is not None:
            names, variables = _GlobalsOfLibrary(place.module), {}
        else:
            place = self._place_of(code)
            if place is None:
                return reduced
        cells = tuple(_content_of(cell) for cell in function.__closure__ or ())
        state = {
            "globals": variables,
            "modules": modules,
            "freevars": code.co_freevars,
            "cells": cells,
            "dict": attributes,
            "attributes": slots,
        }
        return source_code.function_of, (place, names, code.co_freevars), state, None, None, source_code.set_function

    def _place_in_library(self, function: FunctionType) -> Optional[_CodeInLibrary]:
        code = function.__code__
        is_library = source_code.is_of_standard_library if self.sources is None else self.sources.is_library
        if not is_library(code.co_filename):
            return None
        name = function.__globals__.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        path = None if module is None else _path_in(module, code)
        if module is not None and path is not None:
            return _CodeInLibrary(module.__name__, path)
        if source_code.is_of_standard_library(code.co_filename):
            raise SerializationError(
                f"{function.__qualname__} is code of the standard library of Python {source_code.MINOR} "
                f"({code.co_filename}), which is not sent. Call it inside of the function instead of around it."
            )
        return None

    def _reduce_class(self, cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        maker, args, (setter, content), *_ = reduced
        members = {}
        if setter is pickle_hooks.set_enumeration:
            (_, content), members = content
        attributes = content[0]
        identity = args[CLASS_MAKERS[maker.__name__]]
        attributes = {name: value for name, value in attributes.items() if name not in _WRITTEN_BY_PYTHON}
        state: dict[str, Any] = {"id": identity, "python": source_code.MINOR, "members": members, "dataclass": None}
        if isinstance(cls, enum.EnumMeta):
            attributes = _added_to_enum(cls, attributes)
        elif issubclass(cls, tuple) and "_fields" in vars(cls) and "_make" in vars(cls):
            track = maker.__globals__["_lookup_class_or_track"]
            maker, args = track, (identity, _NamedTupleClass(cls))
            attributes = {name: value for name, value in attributes.items() if not _is_of_named_tuple(cls, name, value)}
        elif dataclasses.is_dataclass(cls) and "__dataclass_fields__" in vars(cls):
            state["dataclass"] = _dataclass_spec(cls)
            attributes = _without_methods_of_dataclasses(attributes)
        state["attributes"] = {name: value for name, value in attributes.items() if not _is_of_typing(value)}
        return maker, args, state, None, None, source_classes.define


class _CodeInSource(NamedTuple):
    """Stands for code in a piece of source."""

    piece: tuple[Any, ...]
    name: str
    line: int

    def __reduce__(self) -> tuple[Any, ...]:
        return source_code.code_of, (self.piece, self.name, self.line)


class _CodeInLibrary(NamedTuple):
    """Stands for code in an installed module."""

    module: str
    path: tuple[str, ...]


class _GlobalsOfLibrary(NamedTuple):
    """Stands for the namespace of an installed module."""

    module: str


class _NamedTupleClass:
    """Stands for a class of named tuples without what was added to it."""

    def __init__(self, cls: Any) -> None:  # noqa: ANN401 - a class with attributes that `tuple` lacks
        self.cls = cls

    def __reduce__(self) -> tuple[Any, ...]:
        cls = self.cls
        defaults = tuple(cls._field_defaults.values())
        return source_classes.named_tuple, (cls.__name__, cls._fields, defaults, cls.__module__, cls.__qualname__)


_RULES: dict[Any, Callable[[Any], Any]] = {
    _CodeInSource: lambda place: (source_code.code_of, tuple(place)),
    _CodeInLibrary: lambda place: (source_code.code_of_library, tuple(place)),
    _GlobalsOfLibrary: lambda place: (source_code.globals_of_module, tuple(place)),
    getattr(types, "UnionType", None): lambda union: (source_classes.union, (union.__args__,)),
    getattr(types, "GenericAlias", None): lambda alias: (source_classes.generic, (alias.__origin__, alias.__args__)),
    type(typing.Optional): lambda form: (source_classes.special_form, (str(form).rpartition(".")[2],)),
}
"""How values of a type are pickled."""


def _content_of(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not set yet
        return ()


def _path_in(module: types.ModuleType, code: CodeType) -> Optional[tuple[str, ...]]:
    """Return the names that lead to *code* from the functions of *module*; None if it is in none of them."""
    for name, value in [*vars(module).items()]:
        if type(value) is FunctionType and value.__globals__ is vars(module):
            inner = _names_to(value.__code__, code)
            if inner is not None and source_code.code_at(module, (name, *inner)) == code:
                return (name, *inner)
    return None


def _names_to(outer: CodeType, code: CodeType) -> Optional[tuple[str, ...]]:
    if outer == code:
        return ()
    for each in outer.co_consts:
        if isinstance(each, CodeType) and (inner := _names_to(each, code)) is not None:
            return (each.co_name, *inner)
    return None


def _is_of_typing(value: object) -> bool:
    """Return whether `typing` has put the function *value* into a class, as it does with protocols."""
    function = getattr(value, "__func__", value)
    return type(function) is FunctionType and function.__code__.co_filename == typing.__file__


def _is_generated(value: object, module: types.ModuleType) -> bool:
    function = getattr(value, "__func__", value)
    if type(function) is not FunctionType:
        return not callable(value)
    return function.__code__.co_filename in {"<string>", module.__file__} or function.__code__.co_filename.startswith(
        "<"
    )


def _is_of_named_tuple(cls: Any, name: str, value: object) -> bool:  # noqa: ANN401 - as above
    if name in cls._fields:
        return True
    return name in _OF_NAMED_TUPLES and _is_generated(value, collections)


def _without_methods_of_dataclasses(attributes: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        if value is getattr(dataclasses, "_dataclass_getstate", None):
            kept[name] = source_classes.frozen_state
        elif value is getattr(dataclasses, "_dataclass_setstate", None):
            kept[name] = source_classes.set_frozen_state
        elif not (name in _OF_DATACLASSES and type(value) is FunctionType and _is_generated_method(value)):
            kept[name] = value
    return kept


def _is_generated_method(function: FunctionType) -> bool:
    file = function.__code__.co_filename
    return file.startswith("<string>") or source_code.is_of_standard_library(file)


def _dataclass_spec(cls: Any) -> tuple[dict[str, bool], list[dict[str, Any]]]:  # noqa: ANN401 - a dataclass
    """Return the parameters of the decorator, and the fields that are of *cls* itself."""
    parameters = {
        name: getattr(cls.__dataclass_params__, name)
        for name in ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
    }
    own = vars(cls).get("__annotations__") or getattr(cls, "__annotations__", {})
    fields = [field for name, field in cls.__dataclass_fields__.items() if name in own]
    return parameters, [_options_of(field) for field in fields]


def _options_of(field: Any) -> dict[str, Any]:  # noqa: ANN401 - a field, of any version of `dataclasses`
    options = {
        "name": field.name,
        "kind": field._field_type.name,  # noqa: SLF001 - no public name
        "annotation": field.type,
        "init": field.init,
        "repr": field.repr,
        "hash": field.hash,
        "compare": field.compare,
        "metadata": dict(field.metadata),
    }
    for name in ("default", "default_factory"):
        if getattr(field, name) is not dataclasses.MISSING:
            options[name] = getattr(field, name)
    if getattr(field, "kw_only", False) is True:
        options["kw_only"] = True
    return options


def _added_to_enum(cls: enum.EnumMeta, attributes: dict[str, Any]) -> dict[str, Any]:
    """Return those of *attributes* that the user has added to an enumeration, besides its members."""
    maker = attributes.get("__new_member__") or attributes.get("_new_member_")
    if type(maker) is FunctionType and not source_code.is_of_standard_library(maker.__code__.co_filename):
        raise SerializationError(
            f"The enumeration {cls.__qualname__} makes its members by a __new__ of its own, which cannot be sent to "
            "another minor version of Python. Define it in a module of your own, which is imported there."
        )
    if getattr(cls, "_boundary_", None) is not getattr(cls.__bases__[-1], "_boundary_", None):
        raise SerializationError(
            f"The enumeration {cls.__qualname__} has a boundary of its own, which cannot be sent to another minor "
            "version of Python. Define it in a module of your own, which is imported there."
        )
    members = {*cls.__members__}
    return {key: value for key, value in attributes.items() if key not in members and _is_added(key, value)}


def _is_added(name: str, value: object) -> bool:
    """Return whether the user has put *value* into an enumeration, not the metaclass or a base."""
    function = getattr(value, "__func__", value)
    if type(function) is FunctionType:
        return not source_code.is_of_standard_library(function.__code__.co_filename)
    if name.startswith("_") and name.endswith("_"):
        return name in {"__annotations__", "__doc__", "__module__", "__qualname__"}
    return type(value).__module__ != "enum"
