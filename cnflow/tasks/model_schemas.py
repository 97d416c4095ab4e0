"""Describes a loaded model: JSON schemas and tensors of its rows and results, from its annotations."""

from __future__ import annotations

import contextlib
import inspect
import typing
from typing import TYPE_CHECKING, Any, Union

from cnflow.tasks import image_packages
from cnflow.tasks.models import Description
from cnflow.tasks.row_types import Types, adapter_of, is_any
from cnflow.tasks.tensors import NAMES_OF_ONE

if TYPE_CHECKING:
    from cnflow.tasks.loaded_models import LoadedModel

_PLAIN = {
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    float: {"type": "number"},
    int: {"type": "integer"},
    list: {"type": "array"},
    str: {"type": "string"},
    type(None): {"type": "null"},
}
_DATATYPES = {float: "FP64", int: "INT64", str: "BYTES", bool: "BOOL"}
"""Datatypes that the rows are read as; a client may send any other of numbers for a number."""


def describe(model: LoadedModel) -> Description:
    """Return the description of *model*."""
    types = model.reader.types
    methods = ["predict"]
    methods += [name for name, has in (("stream", model.pieces is not None), ("setup", model.has_setup)) if has]
    methods += ["teardown"] if model.teardown is not None else []
    piece = schema_of(model.piece_reader.types.result) if model.pieces is not None else {}
    takes, gives = NAMES_OF_ONE
    return Description(
        model.name,
        methods,
        {} if types.is_array else schema_of(types.row),
        schema_of(types.result),
        piece,
        _options(types),
        inspect.getdoc(model.function) or inspect.getdoc(model.source) or "",
        _tensors(types.row, takes, is_array=types.is_array),
        _tensors(types.result, gives),
        types.warning,
    )


def schema_of(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    """Return the JSON schema of *kind*; an empty one where that is not known."""
    if is_any(kind):
        return {}
    if image_packages.pydantic() is not None:
        with contextlib.suppress(Exception):  # a type that it cannot describe
            schema: dict[str, Any] = adapter_of(kind).json_schema()
            return schema
    return _plain_schema(kind)


def _plain_schema(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Union:
        return {"anyOf": [_plain_schema(each) for each in arguments]}
    if origin is dict:
        values = _plain_schema(arguments[1]) if len(arguments) > 1 else {}
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    if isinstance(origin, type) and arguments:
        return {"type": "array", "items": _plain_schema(arguments[0])}
    return {}


def _options(types: Types) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for name, kind, default in types.options:
        properties[name] = schema_of(kind)
        if default is inspect.Parameter.empty:
            required.append(name)
        elif default is None or type(default) in _PLAIN:
            properties[name] = {**properties[name], "default": default}
    if not properties:
        return {}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _tensors(kind: Any, name: str, *, is_array: bool = False) -> list[dict[str, Any]]:  # noqa: ANN401 - a type
    """Return the tensors of values of *kind*: one, or one for each field of a dict with known fields."""
    if is_array:
        return [{"name": name, "datatype": "FP64", "shape": [-1, -1]}]
    fields = getattr(kind, "__annotations__", None) if isinstance(kind, type) else None
    if fields:
        try:
            fields = typing.get_type_hints(kind)
        except Exception:  # noqa: BLE001 - the user's names
            return []
        parts = [_tensor(field, part) for field, part in fields.items()]
        return [part for part in parts if part] if all(parts) else []
    tensor = _tensor(name, kind)
    return [tensor] if tensor else [{"name": name, "datatype": "FP64", "shape": [-1, -1]}]


def _tensor(name: str, kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a type
    shape = [-1]
    while typing.get_origin(kind) is not None and typing.get_args(kind):
        if typing.get_origin(kind) is Union or typing.get_origin(kind) is dict:
            return {}
        kind = typing.get_args(kind)[0]
        shape.append(-1)
    return {"name": name, "datatype": _DATATYPES[kind], "shape": shape} if kind in _DATATYPES else {}
